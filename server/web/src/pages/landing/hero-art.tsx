/** Two cities, one call: a drawing of what the product does. */
export function HeroArt() {
  return (
    <svg class="hero-art" viewBox="0 0 420 400" aria-hidden="true">
      <g class="art-window">
        <rect x="20" y="30" width="230" height="170" rx="16" class="art-frame" />
        <rect x="32" y="42" width="206" height="146" rx="8" class="art-screen-a" />
        <circle cx="135" cy="104" r="27" class="art-skin-a" />
        <path d="M108 104a27 27 0 0 1 54 0c-9-16-43-19-54 0Z" class="art-hair-a" />
        <path d="M83 188c2-36 24-52 52-52s50 16 52 52Z" class="art-coat-a" />
        <rect x="42" y="52" width="62" height="22" rx="11" class="art-tag" />
        <text x="73" y="67" class="art-text">
          Tokyo
        </text>
      </g>
      <g class="art-window">
        <rect x="170" y="190" width="230" height="170" rx="16" class="art-frame" />
        <rect x="182" y="202" width="206" height="146" rx="8" class="art-screen-b" />
        <circle cx="285" cy="264" r="27" class="art-skin-b" />
        <path d="M257 268c-4-40 60-42 57 0-4-14-16-20-28-20s-25 6-29 20Z" class="art-hair-b" />
        <path d="M233 348c2-36 24-52 52-52s50 16 52 52Z" class="art-coat-b" />
        <path d="M326 300h34v36h-34zM334 300c0-12 18-12 18 0" class="art-bag" />
        <rect x="192" y="212" width="56" height="22" rx="11" class="art-tag" />
        <text x="220" y="227" class="art-text">
          Paris
        </text>
      </g>
      <path d="M264 96c42 2 62 26 62 70" class="art-line" />
      <path d="m317 156 9 13 10-13" class="art-arrow" />
      <path d="M156 304c-42-2-62-26-62-70" class="art-line" />
      <path d="m84 244 10-13 10 13" class="art-arrow" />
    </svg>
  );
}
