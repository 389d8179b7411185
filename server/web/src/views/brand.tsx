/** The word mark of the product, for page headers. */
export function Brand() {
  return (
    <span class="brand">
      <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" class="brand-ground" />
        <path
          d="M6 12.500h12.500a3.600 3.600 0 1 0-3.400-4.800M6 22.500h7.200"
          class="brand-wind"
        />
        <path d="M6 17.500h16.800a3.200 3.200 0 1 1-3 4.300" class="brand-sun" />
      </svg>
      <span class="brand-name">Tradewind</span>
    </span>
  );
}
