declare const NETSTATD_VERSION: string | undefined;

/** The version of this build; the bundler fills it in, a run from sources has none. */
export const netstatdVersion =
  typeof NETSTATD_VERSION === 'string' ? NETSTATD_VERSION : '0.0.0-source';
