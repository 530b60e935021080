defmodule Bench.Report.Figures do
  @moduledoc "Figures as people read them."

  def amount(value, "ns") when value >= 1_000_000, do: digits(value / 1_000_000) <> " ms"
  def amount(value, "ns") when value >= 1000, do: digits(value / 1000) <> " µs"
  def amount(value, "us") when abs(value) >= 1000, do: digits(value / 1000) <> " ms"
  def amount(value, "us"), do: digits(value) <> " µs"
  def amount(value, "bytes") when value >= 10_000, do: digits(value / 1024) <> " KB"
  def amount(value, "bytes"), do: digits(value) <> " B"
  def amount(value, unit), do: digits(value) <> " " <> unit

  def spread(%{rounds: 1}), do: ""
  def spread(figure), do: "±#{round(100 * figure.spread)} %"

  @doc "A ratio, with more digits where it is small."
  def ratio(ratio) when ratio < 0.1, do: fixed(ratio, 4)
  def ratio(ratio) when ratio < 10, do: fixed(ratio, 2)
  def ratio(ratio), do: fixed(ratio, 0)

  defp digits(value) when abs(value) < 10, do: fixed(value, 2)
  defp digits(value) when abs(value) < 100, do: fixed(value, 1)
  defp digits(value), do: fixed(value, 0)

  defp fixed(value, digits), do: :erlang.float_to_binary(value / 1, decimals: digits)
end
