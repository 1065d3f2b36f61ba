/** The container runtimes of this machine, as the enricher needs them while it reads records. */
export interface RuntimeSource {
  /** Their events are followed and all their containers were told: a container that is not known is a new one. */
  readonly following: boolean;
  /** The kernel has named a container that no runtime has described: asks for it, without waiting. */
  ask(containerUid: string): void;
}
