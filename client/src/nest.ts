/** NestJS: a pipe that lets only allowed files into a handler's parameters. */

import {
  type DynamicModule,
  HttpException,
  Inject,
  Injectable,
  Module,
  type ModuleMetadata,
  type PipeTransform,
} from "@nestjs/common";
import { createScanner, type Scanner, type ScannerOptions } from "./scanner.ts";
import { refusalOf, removeStored, scanStored, type UploadedFile } from "./uploads.ts";

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
    throw new HttpException(refusal.body, refusal.status);
  }
}
Injectable()(CleanFilePipe);
Inject(SCANNER)(CleanFilePipe, undefined, 0);

function scannerOf({ target, ...options }: ClamgateModuleOptions): Scanner {
  return createScanner(target, options);
}

function moduleOf(provider: NonNullable<DynamicModule["providers"]>[number]): DynamicModule {
  return { module: ClamgateModule, global: true, providers: [provider, CleanFilePipe], exports: [SCANNER, CleanFilePipe] };
}

/** One file, a list, or lists by their fields; nothing where no file was sent. */
function filesIn(value: unknown): readonly UploadedFile[] {
  if (Array.isArray(value)) return value.flatMap(filesIn);
  if (typeof value !== "object" || value === null) return [];
  return "originalname" in value ? [value as UploadedFile] : Object.values(value).flatMap(filesIn);
}
