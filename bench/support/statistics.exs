defmodule Bench.Statistics do
  @moduledoc "What is told of several rounds."

  @doc "Median, quartiles, the best, and the spread: half of the middle half, over the median."
  def of(values) do
    sorted = Enum.sort(values)
    [q1, median, q3] = for p <- [0.25, 0.5, 0.75], do: quantile(sorted, p)

    %{
      median: median,
      q1: q1,
      q3: q3,
      best: hd(sorted),
      spread: if(median == 0, do: 0.0, else: (q3 - q1) / 2 / abs(median)),
      rounds: length(values)
    }
  end

  @doc "The value that a part `p` of the sorted values is below."
  def quantile(sorted, p) do
    place = p * (length(sorted) - 1)
    below = trunc(place)
    low = Enum.at(sorted, below)
    high = Enum.at(sorted, below + 1, low)
    low + (place - below) * (high - low)
  end
end
