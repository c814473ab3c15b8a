// One warm accent against bone and graphite; everything on the page takes its colours from here or
// from the same values in style.css.
export const BONE = 0xe8e1d5;
export const GRAPHITE = 0x23252b;
export const EMBER = 0xff5a36;
export const STEEL = 0x8fa7c4;
export const FLOOR = 0x1b1d23;
export const NIGHT = 0x0a0b0e;
