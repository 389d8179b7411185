declare module 'virtual:land' {
  /** Outline of the land as SVG path data in the units of the map. */
  const land: string;
  export default land;
}
