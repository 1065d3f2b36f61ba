export {
  containerOfCgroup,
  type CgroupContainer,
  type ContainerRuntime,
  type PodQos,
} from './cgroup-path.ts';
export { ContainerdFollower, type ContainerdFollowerOptions } from './containerd-follower.ts';
export { ContainerSources, type ContainerSourcesOptions } from './sources.ts';
export type {
  RuntimeContainer,
  RuntimeEvents,
  RuntimeFollower,
  RuntimeState,
} from './runtime-container.ts';
