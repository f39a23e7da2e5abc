/**
 * Random numbers with a seed: xoshiro128** (Blackman & Vigna 2018), its state filled by splitmix32. The same seed always
 * gives the same text on this page; the command line has another generator.
 *
 * @param {number} seed a whole number
 * @param {number} stream which of several independent sequences
 * @returns {() => number} numbers from 0 to 1, never 0 or 1
 */
export function random(seed, stream = 0) {
  let filler = (seed ^ Math.imul(stream + 1, 0x9e3779b9)) | 0;
  const state = new Uint32Array(4).map(() => {
    filler = (filler + 0x9e3779b9) | 0;
    let mixed = filler ^ (filler >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  });
  return () => {
    const [, b, c, d] = state;
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    state[2] = c ^ state[0];
    state[3] = d ^ b;
    state[1] = b ^ state[2];
    state[0] ^= state[3];
    state[2] ^= b << 9;
    state[3] = rotate(state[3], 11);
    return (result + 0.5) / 2 ** 32;
  };
}

/** @param {number} word @param {number} count */
function rotate(word, count) {
  return (word << count) | (word >>> (32 - count));
}
