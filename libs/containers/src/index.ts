export {
  containerOfCgroup,
  type CgroupContainer,
  type ContainerRuntime,
  type PodQos,
} from './cgroup-path.ts';
export type {
  RuntimeContainer,
  RuntimeEvents,
  RuntimeFollower,
  RuntimeState,
} from './runtime-container.ts';
