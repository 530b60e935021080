defmodule Bench.Report.SVG do
  @moduledoc """
  The ratios as a chart: a bar to the left of the line at 1 where Blanket is faster or smaller, to the right
  where it is not; one for each size of the table, the largest last. It has no background, and its
  greys are read on a light page and on a dark one.
  """

  alias Bench.Report.Figures
  alias Bench.{Row, Shape}

  @width 920
  @line 20
  @top 96
  # Where the bars may be, and the ratios at both ends, on a scale of logarithms.
  @left 340
  @right 730
  @least 0.01
  @most 4.0
  # Where the ratios of the sizes stand.
  @columns [788, 850, 912]

  @grey "#7d8590"
  @win "#2a9d8f"
  @loss "#e0683c"

  def document(machine, rows) do
    rows = Enum.filter(rows, &Row.blanket/1)
    sizes = for(row <- rows, Row.ratio(row), row.size, uniq: true, do: row.size) |> Enum.sort()
    {absolute, ratios} = Enum.split_with(rows, &match?({:above, _}, &1.goal))
    {bars, middle} = ratios |> lines() |> Enum.map_reduce(@top, &group(&1, &2, sizes))
    {times, bottom} = absolute |> lines() |> Enum.map_reduce(middle, &group(&1, &2, sizes))
    height = bottom + 8

    [
      ~s(<svg xmlns="http://www.w3.org/2000/svg" width="#{@width}" height="#{height}" ),
      ~s(viewBox="0 0 #{@width} #{height}" font-family="system-ui, Helvetica, Arial, sans-serif" ),
      ~s(font-size="12.5" fill="#{@grey}" role="img" aria-label="Blanket.Table compared with :ets">\n),
      text(@left, 24, "start", "Blanket.Table / :ets", ~s(font-size="17" font-weight="600")),
      text(@left, 43, "start", described(machine), ""),
      axis(middle),
      bars,
      times,
      "</svg>\n"
    ]
  end

  # Rows that differ by the size of the table only are one line, by groups.
  defp lines(rows) do
    for group <- rows |> Enum.map(& &1.group) |> Enum.uniq() do
      rows = for %{group: ^group} = row <- rows, do: row

      lines =
        for name <- rows |> Enum.map(& &1.name) |> Enum.uniq(), do: {name, named(rows, name)}

      {group, lines}
    end
  end

  defp named(rows, name),
    do: Enum.sort_by(for(%{name: ^name} = row <- rows, do: row), & &1.size)

  defp described(machine) do
    "#{machine.cpu}, #{machine.cores} cores, OTP #{machine.otp}; :ets with the options that suit it best"
  end

  defp axis(bottom) do
    lines =
      for ratio <- [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4] do
        line =
          if ratio == 1,
            do: ~s(stroke="#{@grey}" stroke-width="1.4"),
            else: ~s(stroke="#{@grey}" stroke-width="0.6" stroke-opacity="0.35")

        [
          ~s(<line x1="#{x(ratio)}" y1="#{@top - 6}" x2="#{x(ratio)}" y2="#{bottom - 6}" #{line}/>\n),
          text(x(ratio), @top - 12, "middle", "#{ratio}", ~s(font-size="11"))
        ]
      end

    [
      lines,
      text(x(1) - 8, 66, "end", "less time or memory ◂", ~s(fill="#{@win}" font-weight="600")),
      text(x(1) + 8, 66, "start", "▸ more", ~s(fill="#{@loss}" font-weight="600"))
    ]
  end

  defp group({group, lines}, y, sizes) do
    here = for {_name, rows} <- lines, row <- rows, row.size in sizes, uniq: true, do: row.size

    headings =
      for size <- here, do: text(column(size, sizes), y + 20, "end", Shape.count(size), "")

    heading = text(8, y + 20, "start", "#{group}", ~s(font-size="13.5" font-weight="600"))
    {body, bottom} = Enum.map_reduce(lines, y + 28, &{line(&1, &2, sizes), &2 + @line})
    {[heading, headings | body], bottom + 10}
  end

  defp line({name, [%{goal: {:above, _}} | _] = rows}, y, _sizes) do
    above =
      for row <- rows do
        "#{Figures.amount(Row.above(row), row.unit)} with #{Shape.count(row.size)} objects"
      end

    [
      text(@left - 10, y + 14, "end", name, ""),
      text(@left, y + 14, "start", Enum.join(above, ", ") <> " more than a bare restart", "")
    ]
  end

  defp line({name, rows}, y, sizes) do
    thick = min((@line - 5) / length(rows), 11)
    over = y + (@line - thick * length(rows)) / 2

    bars =
      for {row, index} <- Enum.with_index(rows) do
        [bar(row, over + index * thick, thick), figure(row, y, sizes)]
      end

    [text(@left - 10, y + 14, "end", name, ""), bars]
  end

  defp bar(row, y, thick) do
    ratio = Row.ratio(row)
    from = min(x(ratio), x(1))
    length = max(abs(x(ratio) - x(1)), 1.5)

    [
      ~s(<rect x="#{from}" y="#{number(y)}" width="#{number(length)}" height="#{number(thick - 1)}" ),
      ~s(fill="#{colour(ratio)}"/>\n)
    ]
  end

  defp figure(row, y, sizes) do
    ratio = Row.ratio(row)
    style = ~s(fill="#{colour(ratio)}" font-weight="600")
    text(column(row.size, sizes), y + 14, "end", Figures.ratio(ratio), style)
  end

  defp column(size, sizes), do: Enum.at(@columns, Enum.find_index(sizes, &(&1 == size)) || 0)

  defp colour(ratio) when ratio <= 1, do: @win
  defp colour(_ratio), do: @loss

  defp x(ratio) do
    place = :math.log(max(min(ratio, @most), @least) / @least) / :math.log(@most / @least)
    number(@left + place * (@right - @left))
  end

  defp text(x, y, anchor, text, style) do
    ~s(<text x="#{x}" y="#{y}" text-anchor="#{anchor}" #{style}>#{escape(text)}</text>\n)
  end

  defp number(value), do: Float.round(value / 1, 1)

  defp escape(text) do
    text
    |> String.replace("&", "&amp;")
    |> String.replace("<", "&lt;")
    |> String.replace(">", "&gt;")
  end
end
