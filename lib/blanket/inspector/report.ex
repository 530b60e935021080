defmodule Blanket.Inspector.Report do
  @moduledoc false

  # The tables as lines of text, of a given width.

  alias Blanket.Inspector.{TableInfo, Words}

  @sorts [:memory, :size, :name, :hand_overs]

  @widest 40

  @type sort :: :memory | :size | :name | :hand_overs

  # {head, alignment}
  @columns [
    {"NAME", :left},
    {"TYPE", :left},
    {"OBJECTS", :right},
    {"MEMORY", :right},
    {"STATE", :left},
    {"FOR", :right},
    {"OWNER", :left},
    {"HEIR", :left},
    {"HAND-OVERS", :right}
  ]

  @spec sorts() :: [sort]
  def sorts, do: @sorts

  @doc """
  The lines of a report: a summary, the heads, and a line for each table, in at most `height` lines.
  """
  @spec lines([TableInfo.t()], sort, width :: pos_integer, height :: pos_integer | :infinity) ::
          [String.t()]
  def lines(tables, sort, width \\ 120, height \\ :infinity) do
    rows = tables |> sort(sort) |> Enum.map(&row/1)
    {shown, hidden} = split(rows, height)
    widths = widths(shown, width)
    heads = for {head, _side} <- @columns, do: head
    table = for cells <- [heads | shown], do: line(cells, widths)
    [summary(tables), "" | table] ++ hidden
  end

  defp split(rows, height) when length(rows) + 3 <= height, do: {rows, []}

  defp split(rows, height) do
    {shown, hidden} = Enum.split(rows, max(height - 4, 0))
    {shown, ["(#{length(hidden)} more)"]}
  end

  @spec sort([TableInfo.t()], sort) :: [TableInfo.t()]
  def sort(tables, :memory), do: Enum.sort_by(tables, &{-&1.bytes, &1.name})
  def sort(tables, :size), do: Enum.sort_by(tables, &{-&1.size, &1.name})
  def sort(tables, :name), do: Enum.sort_by(tables, &{&1.name, -&1.bytes})
  def sort(tables, :hand_overs), do: Enum.sort_by(tables, &{-&1.hand_overs, &1.name})

  @doc "How many tables there are, with what in them."
  @spec summary([TableInfo.t()]) :: String.t()
  def summary(tables) do
    orphans = Enum.count(tables, &(&1.state == :orphan))
    objects = tables |> Enum.map(& &1.size) |> Enum.sum()
    bytes = tables |> Enum.map(& &1.bytes) |> Enum.sum()
    hand_overs = tables |> Enum.map(& &1.hand_overs) |> Enum.sum()

    "#{count(tables, "table")}, #{Words.objects(objects)}, #{Words.bytes(bytes)}, " <>
      "#{if orphans == 1, do: "1 orphan", else: "#{orphans} orphans"}, " <>
      "#{if hand_overs == 1, do: "1 hand-over", else: "#{Words.number(hand_overs)} hand-overs"}"
  end

  defp count([_], noun), do: "1 #{noun}"
  defp count(list, noun), do: "#{Words.number(length(list))} #{noun}s"

  defp row(info) do
    [
      Words.short(info.name),
      "#{info.type}",
      Words.number(info.size),
      Words.bytes(info.bytes),
      "#{info.state}",
      Words.span(max(DateTime.diff(DateTime.utc_now(), info.since, :microsecond), 0)),
      if(info.owner == :none, do: "-", else: Words.process(info.owner, info.owner_name)),
      if(info.heir == :none, do: "-", else: inspect(info.heir)),
      Words.number(info.hand_overs)
    ]
  end

  # A column is as wide as its widest cell. What is too much is taken from the widest columns.
  defp widths(rows, width) do
    wanted =
      for {{head, _side}, index} <- Enum.with_index(@columns) do
        cells = [String.length(head) | Enum.map(rows, &String.length(Enum.at(&1, index)))]
        min(Enum.max(cells), @widest)
      end

    shrink(wanted, Enum.sum(wanted) + 2 * (length(wanted) - 1) - width)
  end

  defp shrink(widths, excess) when excess <= 0, do: widths

  defp shrink(widths, excess) do
    {widest, index} = widths |> Enum.with_index() |> Enum.max_by(&elem(&1, 0))

    if widest <= 8,
      do: widths,
      else: shrink(List.replace_at(widths, index, widest - 1), excess - 1)
  end

  defp line(cells, widths) do
    cells
    |> Enum.zip(widths)
    |> Enum.zip(@columns)
    |> Enum.map_join("  ", fn {{cell, width}, {_head, side}} ->
      pad(cut(cell, width), width, side)
    end)
    |> String.trim_trailing()
  end

  defp pad(text, width, :left), do: String.pad_trailing(text, width)
  defp pad(text, width, :right), do: String.pad_leading(text, width)

  defp cut(text, width) do
    if String.length(text) > width, do: String.slice(text, 0, width - 1) <> "…", else: text
  end
end
