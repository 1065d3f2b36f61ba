/** Bare clients of runtimes, for tests that make containers; loads gRPC. */
export { within } from './containerd-client.ts';
export { ContainersClient } from './generated/containerd/containers.ts';
export { RuntimeServiceClient } from './generated/cri/runtime.ts';
export { RpcChannel, type CallParts } from './rpc.ts';
