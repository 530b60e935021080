defmodule Bench.Row do
  @moduledoc """
  What was measured of a workload: the figures of each subject, Blanket first.

  The goal is `{:ratio, most}`, to the best of the others, or `{:above, most}`, the difference to it.
  """

  @enforce_keys [:group, :size, :name, :unit, :figures]
  defstruct [:group, :size, :name, :unit, :figures, :goal, :others, :note]

  @doc "The figure of Blanket; nil where the row has but a floor."
  def blanket(%{figures: [{"Blanket", figure} | _]}), do: figure
  def blanket(_floor), do: nil

  @doc "The others, the best first."
  def rivals(%{figures: figures}) do
    figures
    |> Enum.reject(fn {name, _figure} -> name == "Blanket" end)
    |> Enum.sort_by(fn {_name, figure} -> figure.median end)
  end

  @doc "Blanket's figure over another."
  def ratio(row, rival), do: blanket(row).median / max(rival.median, 1.0e-9)

  @doc "The ratio to the best of the others, or nil where that says nothing."
  def ratio(%{goal: {:above, _}}), do: nil

  def ratio(row) do
    with %{} <- blanket(row), [{_name, best} | _] <- rivals(row) do
      ratio(row, best)
    else
      _ -> nil
    end
  end

  @doc "Blanket's figure less the best of the others."
  def above(row) do
    [{_name, best} | _] = rivals(row)
    blanket(row).median - best.median
  end

  @doc "Whether the goal is met; nil where there is none."
  def met?(%{goal: nil}), do: nil
  def met?(%{goal: {:ratio, most}} = row), do: ratio(row) <= most
  def met?(%{goal: {:above, most}} = row), do: above(row) <= most
end
