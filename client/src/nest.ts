/** NestJS: a pipe that lets only allowed files into a handler's parameters. */

import {
  type ArgumentsHost,
  Catch,
  type DynamicModule,
  type ExceptionFilter,
  HttpException,
  Inject,
  Injectable,
  Module,
  type ModuleMetadata,
  type PipeTransform,
} from "@nestjs/common";
import { createScanner, type Scanner, type ScannerOptions } from "./scanner.ts";
import { type Refusal, refusalOf, removeStored, scanStored, type UploadedFile } from "./uploads.ts";

/** The token under which the module provides its Scanner. */
export const SCANNER: unique symbol = Symbol("clamgate.scanner");

export interface ClamgateModuleOptions extends ScannerOptions {
  /** As `createScanner` takes it. */
  readonly target?: string;
}

export interface ClamgateModuleAsyncOptions extends Pick<ModuleMetadata, "imports"> {
  readonly inject?: readonly (string | symbol | (new (...args: never[]) => unknown))[];
  readonly useFactory: (...args: never[]) => ClamgateModuleOptions | Promise<ClamgateModuleOptions>;
}

/** Provides one Scanner, and the pipe, to the whole application. */
export class ClamgateModule {
  static forRoot(options: ClamgateModuleOptions = {}): DynamicModule {
    return moduleOf({ provide: SCANNER, useValue: scannerOf(options) });
  }

  static forRootAsync({ imports = [], inject = [], useFactory }: ClamgateModuleAsyncOptions): DynamicModule {
    const make = async (...args: never[]) => scannerOf(await useFactory(...args));
    return { ...moduleOf({ provide: SCANNER, useFactory: make, inject: [...inject] }), imports };
  }
}
Module({})(ClamgateModule);

/** For `@UploadedFile(CleanFilePipe)` and `@UploadedFiles(CleanFilePipe)`: 422 where a file is blocked, 503 where there is no verdict. */
export class CleanFilePipe implements PipeTransform {
  readonly #scanner: Scanner;

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
  }

  async transform<Value>(value: Value): Promise<Value> {
    const files = filesIn(value);
    const refusal = refusalOf(await Promise.all(files.map((file) => scanStored(this.#scanner, file))));
    if (refusal === null) return value;
    await Promise.all(files.map(removeStored));
    throw new RefusalException(refusal);
  }
}
Injectable()(CleanFilePipe);
Inject(SCANNER)(CleanFilePipe, undefined, 0);

/** What the pipe throws. */
class RefusalException extends HttpException {
  readonly retryAfterSeconds: number | null;

  constructor({ body, status, retryAfterSeconds }: Refusal) {
    super(body, status);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** As Express and Fastify have it alike. */
interface HttpResponse {
  header(name: string, value: string): unknown;
  status(code: number): { send(body: unknown): unknown };
}

/** NestJS's own answer to an HttpException would be without Retry-After. */
class RefusalFilter implements ExceptionFilter<RefusalException> {
  catch(error: RefusalException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<HttpResponse>();
    if (error.retryAfterSeconds !== null) response.header("retry-after", String(error.retryAfterSeconds));
    response.status(error.getStatus()).send(error.getResponse());
  }
}
Catch(RefusalException)(RefusalFilter);

function scannerOf({ target, ...options }: ClamgateModuleOptions): Scanner {
  return createScanner(target, options);
}

function moduleOf(scanner: NonNullable<DynamicModule["providers"]>[number]): DynamicModule {
  // The token is @nestjs/core's APP_FILTER: a filter for the whole application.
  const filter = { provide: "APP_FILTER", useClass: RefusalFilter };
  const providers = [scanner, CleanFilePipe, filter];
  return { module: ClamgateModule, global: true, providers, exports: [SCANNER, CleanFilePipe] };
}

/** One file, a list, or lists by their fields; nothing where no file was sent. */
function filesIn(value: unknown): readonly UploadedFile[] {
  if (Array.isArray(value)) return value.flatMap(filesIn);
  if (typeof value !== "object" || value === null) return [];
  return "originalname" in value ? [value as UploadedFile] : Object.values(value).flatMap(filesIn);
}
