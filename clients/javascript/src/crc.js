// Cyclic redundancy checks of .xz and PNG files, lowest bit first, in numbers of 32 bits.

/** Table of the remainders of bytes: their low and high halves. */
function tableOf(low, high) {
  const table = { low: new Uint32Array(256), high: new Uint32Array(256) }
  for (let byte = 0; byte < 256; byte++) {
    let [l, h] = [byte, 0]
    for (let bit = 0; bit < 8; bit++) {
      const carries = l & 1
      l = (l >>> 1) | (h << 31)
      h >>>= 1
      if (carries) [l, h] = [l ^ low, h ^ high]
    }
    table.low[byte] = l
    table.high[byte] = h
  }
  return table
}

const POLYNOMIALS = { 4: [0xedb88320, 0], 8: [0xd7870f42, 0xc96c5795] }
const tables = {}

/** CRC32 of bytes. */
export function crc32(bytes) {
  const { low } = (tables[4] ??= tableOf(...POLYNOMIALS[4]))
  let sum = 0xffffffff
  for (let at = 0; at < bytes.length; at++) sum = (sum >>> 8) ^ low[(sum ^ bytes[at]) & 255]
  return ~sum >>> 0
}

/** Whether a check of 4 or 8 bytes, CRC32 or CRC64, is that of some bytes. */
export function isCRC(check, bytes) {
  if (!(check.length in POLYNOMIALS)) return false
  const { low, high } = (tables[check.length] ??= tableOf(...POLYNOMIALS[check.length]))
  const isLong = check.length === 8
  let [l, h] = [0xffffffff, isLong ? 0xffffffff : 0]
  for (let at = 0; at < bytes.length; at++) {
    const byte = (l ^ bytes[at]) & 255
    l = ((l >>> 8) | (h << 24)) ^ low[byte]
    h = (h >>> 8) ^ high[byte]
  }
  const found = [l, h].flatMap((half) => [0, 8, 16, 24].map((shift) => (~half >>> shift) & 255))
  return check.every((byte, n) => byte === found[n])
}
