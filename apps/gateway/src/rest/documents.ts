import { asyncApiDocument } from '@netstatd/events';
import { openApiDocument } from './openapi.ts';

/**
 * The documents of the interfaces as JSON texts. Few ask for them, and the schemas of all events take 10 MB while
 * they are turned into text: that is left until somebody asks.
 */
export class Documents {
  readonly #version: string;
  #openApi: string | undefined;
  #asyncApi: string | undefined;

  constructor(version: string) {
    this.#version = version;
  }

  get '/openapi.json'(): string {
    return (this.#openApi ??= JSON.stringify(openApiDocument(this.#version)));
  }

  get '/asyncapi.json'(): string {
    return (this.#asyncApi ??= JSON.stringify(asyncApiDocument({ version: this.#version })));
  }
}
