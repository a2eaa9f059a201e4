/**
 * Whether a measured share of `requests` differs from the configured one by more than chance:
 * three standard deviations of a random choice, and at least a hundredth.
 */
export function deviates(configured: number, measured: number, requests: number): boolean {
  const chance = 3 * Math.sqrt((configured * (1 - configured)) / Math.max(1, requests));
  return Math.abs(measured - configured) > Math.max(0.01, chance);
}
