defmodule Blanket.Inspector.Words do
  @moduledoc false

  # Figures and processes in words, the same in the terminal, on the page and in iex.

  alias Blanket.Inspector.TableInfo

  @spec objects(non_neg_integer) :: String.t()
  def objects(1), do: "1 object"
  def objects(size), do: "#{number(size)} objects"

  @doc """
  With a comma between the thousands.

      iex> Blanket.Inspector.Words.number(1234567)
      "1,234,567"
  """
  @spec number(non_neg_integer) :: String.t()
  def number(number) do
    number
    |> Integer.digits()
    |> Enum.reverse()
    |> Enum.chunk_every(3)
    |> Enum.map_join(",", &Enum.join/1)
    |> String.reverse()
  end

  @doc """
  In the unit that fits.

      iex> Enum.map([0, 1023, 1536, 5 * 1024 * 1024], &Blanket.Inspector.Words.bytes/1)
      ["0 B", "1,023 B", "1.5 KB", "5.0 MB"]
  """
  @spec bytes(non_neg_integer) :: String.t()
  def bytes(bytes) when bytes < 1024, do: "#{number(bytes)} B"
  def bytes(bytes), do: bytes(bytes / 1024, ~w(KB MB GB TB))

  defp bytes(amount, [unit | units]) when amount < 1023.95 or units == [],
    do: "#{:erlang.float_to_binary(amount, decimals: 1)} #{unit}"

  defp bytes(amount, [_unit | units]), do: bytes(amount / 1024, units)

  @doc """
  A time span.

      iex> Enum.map([0, 130, 20_500, 61_000_000, 7_200_000_000], &Blanket.Inspector.Words.span/1)
      ["0 µs", "130 µs", "20.5 ms", "1 min", "2 h"]
  """
  @spec span(microseconds :: non_neg_integer) :: String.t()
  def span(us) when us < 1000, do: "#{us} µs"
  def span(us) when us < 1_000_000, do: "#{:erlang.float_to_binary(us / 1000, decimals: 1)} ms"
  def span(us) when us < 60_000_000, do: "#{div(us, 1_000_000)} s"
  def span(us) when us < 3_600_000_000, do: "#{div(us, 60_000_000)} min"
  def span(us) when us < 172_800_000_000, do: "#{div(us, 3_600_000_000)} h"
  def span(us), do: "#{div(us, 86_400_000_000)} d"

  @spec owner(TableInfo.t()) :: String.t()
  def owner(%{owner: :none}), do: "an orphan"
  def owner(info), do: "owner: #{process(info.owner, info.owner_name)}"

  @spec heir(TableInfo.t()) :: String.t()
  def heir(%{heir: heir, kept_as: nil}) when is_atom(heir), do: "heir: #{inspect(heir)}"
  def heir(%{heir: :none}), do: "heir: none at this moment"
  def heir(%{heir: heir}), do: "heir: #{inspect(heir)}"

  @spec process(pid, name :: term) :: String.t()
  def process(pid, nil), do: inspect(pid)
  def process(pid, name), do: "#{short(name)} #{inspect(pid)}"

  @doc "A term on one line, cut where it is long."
  @spec short(term) :: String.t()
  def short(term), do: inspect(term, limit: 8, printable_limit: 60, width: :infinity)
end
