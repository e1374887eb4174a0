"""From what senders report to what is scored: totals become rates, histograms rate, mean and quantiles."""
