defmodule Bench.Report.JSON do
  @moduledoc "All figures, for programs. OTP encodes JSON from release 27 on only, so it is done here."

  alias Bench.Row

  def document(machine, rows) do
    [encode(%{machine: machine, rows: Enum.map(rows, &row/1)}), "\n"]
  end

  defp row(row) do
    %{
      group: "#{row.group}",
      size: row.size,
      name: row.name,
      unit: row.unit,
      figures: for({name, figure} <- row.figures, do: Map.put(figure, :name, name)),
      ratio: Row.ratio(row),
      goal: goal(row.goal),
      met: Row.met?(row),
      note: row.note
    }
  end

  defp goal(nil), do: nil
  defp goal({:ratio, most}), do: %{ratio: most}
  defp goal({:above, most}), do: %{microseconds_above: most}

  @doc "Maps, lists, strings, numbers, booleans and nil."
  def encode(nil), do: "null"
  def encode(boolean) when is_boolean(boolean), do: Atom.to_string(boolean)
  def encode(integer) when is_integer(integer), do: Integer.to_string(integer)
  def encode(float) when is_float(float), do: :erlang.float_to_binary(float, [:short])
  def encode(string) when is_binary(string), do: [?", escape(string), ?"]
  def encode(list) when is_list(list), do: [?[, Enum.map_intersperse(list, ?,, &encode/1), ?]]

  def encode(map) when is_map(map) do
    members =
      map
      |> Enum.sort()
      |> Enum.map_intersperse(?,, fn {key, value} -> [encode("#{key}"), ?:, encode(value)] end)

    [?{, members, ?}]
  end

  defp escape(string) do
    for <<char::utf8 <- string>> do
      case char do
        ?" -> ~S(\")
        ?\\ -> ~S(\\)
        control when control < 0x20 -> :io_lib.format("\\u~4.16.0b", [control])
        char -> <<char::utf8>>
      end
    end
  end
end
