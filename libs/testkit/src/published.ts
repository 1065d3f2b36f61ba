import Ajv2020 from 'ajv/dist/2020';

/** The shapes of REST answers as a running gateway publishes them in its OpenAPI document. */
export class PublishedShapes {
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false });

  /** @param openApi the document at /openapi.json */
  constructor(openApi: object) {
    this.#ajv.addSchema(openApi, 'openapi');
  }

  /** Why an answer of 200 to a GET is not what is published, if so. */
  against(path: string, body: unknown): string | undefined {
    const where = ['paths', path, 'get', 'responses', '200', 'content', 'application/json'];
    const pointer = [...where, 'schema'].map((step) => step.replaceAll('/', '~1')).join('/');
    const validate = this.#ajv.getSchema(`openapi#/${pointer}`);
    if (!validate) return `${pointer} is not published`;
    return validate(body) ? undefined : this.#ajv.errorsText(validate.errors);
  }
}
