/** The only globals of `lib/` beyond ECMAScript itself: pure functions of their arguments. */
declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: Uint8Array): string;
}
/** How a caller says that an answer is no longer wanted. The core only hands it on; nobody makes one here. */
interface AbortSignal {
  readonly aborted: boolean;
}
