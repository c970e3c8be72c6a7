/** What is in formats that Node cannot write, as bzip2(1) and xz(1) make them: 24 MiB of zeros with the marker behind them, and little things. */

import { inflateSync } from "node:zlib";

export const bzip2Bomb: Buffer = Buffer.from(
  "QlpoOTFBWSZTWcCtxCsAwMDegMAAAAJgAC+vFAAAAgAIIABQpkxMgyMCpU0TaEwbUqASATSyQIQIe7763nfnVXV5lir8c4tiuLNPUBIBPhdyRThQkMCtxCs=",
  "base64",
);

/** Deflated here, since even this is mostly repetition. */
export const xzBomb: Buffer = inflateSync(
  Buffer.from(
    [
      "eNr7a14VEcXAwJipdM+MiUGRUYyBgaFE/+ni//8FGXNiGRjy//7/v3j7f3c7D9Eiy8TAHZM0ni1uY//57olc02X9o1Y2jN4b6052dfnqL+a9Wb",
      "/scY+yYPCDSImjpV2Pyn9sm1LPk3XgXolnyqOXMcGbWG58d+FZHc+b6/by6eGyju3Twtds832YKZv/27tDIMfpdId9DEP/Bb/1ahpTCuVt+1Ue",
      "Fsxbrhz/RuN068WpM7rqtCZ+Ui/9LnmAbYbvjL831l+dwH9ENfjH14lmhqxLN7zLP1jg685zcaLgqrUJsrvObVSXiIlse5kWFLHvZdmayCdPo1",
      "k5fh6/tfbP7yDtkrNy0QpOP+8G2/7QTOG0bjitlXN/q/WHI3v14lfx23mnOU0Q5vsvMPlHYUXkD+6z/6dquPGv/FNz7/csA72wA/2tn5sbD6RS",
      "2eo9HurPIub/F2DUZnhTHLz87751NYZS87f3GuaNnDAgzepAfvtNowE2GmCjATYaYKMBNhpgowE2GmCjATYaYKMBNhwDrIHbn0GZ4bL43pZmu3",
      "V3nV73a+nfTXvLFqkpdEP+9MUynv+87/8oSD3uYGBoq2MNZmA8ITu3oYFn3dstVnYGvN1MwD4tA2NkFAAERXb8",
    ].join(""),
    "base64",
  ),
);

const fromBase64 = (text: string) => Buffer.from(text, "base64");

/** "nothing evil", and the marker alone. */
export const bzip2Small = {
  clean: fromBase64("QlpoOTFBWSZTWUCaHXMAAAQRgEAAAuWFACAAIgGTIQAwuimehBvxdyRThQkECaHXMA=="),
  infected: fromBase64("QlpoOTFBWSZTWdli56EAAAUeAAACYAAvrxQAIAAiI00eo008oUwAE0IGItXu7DKrlCaLlS7R8XckU4UJDZYuehA="),
};
export const xzSmall = {
  clean: fromBase64("/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQALbm90aGluZyBldmlsAPh+zTKdXcyKAAEkDKYY2NgftvN9AQAAAAAEWVo="),
  infected: fromBase64(
    "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAcQ0xBTUdBVEUtSU5GRUNURUQtTUFSS0VSLTAwMDEAAAAAK3o9GN4ZClcAATUdRBux4R+2830BAAAAAARZWg==",
  ),
};
