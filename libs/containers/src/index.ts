export {
  containerOfCgroup,
  type CgroupContainer,
  type ContainerRuntime,
  type PodQos,
} from './cgroup-path.ts';
