defmodule Blanket.Inspector.Web.Chart do
  @moduledoc false

  # A figure over the last minutes, as SVG. The right edge is now.

  import Blanket.Inspector.Web.HTML, only: [el: 3]

  alias Blanket.Inspector.Web.HTML

  @width 600
  @height 120

  # In milliseconds, as much as is remembered.
  @span 300_000

  @typedoc "Ages in milliseconds with values, oldest first."
  @type points :: [{age :: non_neg_integer, value :: non_neg_integer}]

  @doc """
  A chart with its caption. `marks` are the ages of what happened.
  """
  @spec figure(String.t(), points, [non_neg_integer], (non_neg_integer -> String.t())) :: HTML.t()
  def figure(title, points, marks, show) do
    {now, least, most} = extent(points)
    span = span(points)

    el(:figure, [class: "chart"], [
      el(:figcaption, [], [
        el(:span, [class: "title"], title),
        el(:strong, [], show.(now)),
        el(:span, [class: "range"], "#{show.(least)} to #{show.(most)}")
      ]),
      svg(points, marks, span, most, "#{title}: now #{show.(now)}"),
      el(:div, [class: "axis"], [
        el(:span, [], "#{div(span, 1000)} s ago"),
        if(marks != [], do: el(:span, [class: "legend"], "┆ hand-over")),
        el(:span, [], "now")
      ])
    ])
  end

  @doc """
  A small one for a row.
  """
  @spec sparkline(points, String.t()) :: HTML.t()
  def sparkline(points, label) do
    {_now, _least, most} = extent(points)
    svg(points, [], span(points), most, label)
  end

  defp extent([]), do: {0, 0, 0}

  defp extent(points) do
    values = for {_age, value} <- points, do: value
    {least, most} = Enum.min_max(values)
    {List.last(values), least, most}
  end

  # It fills its width as soon as there is half a minute.
  defp span([]), do: 30_000
  defp span([{oldest, _} | _]), do: oldest |> max(30_000) |> min(@span)

  defp svg(points, marks, span, most, label) do
    el(
      :svg,
      [
        viewBox: "0 0 #{@width} #{@height}",
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": label
      ],
      [
        area(points, span, most),
        for(age <- marks, age <= span, do: mark(x(age, span)))
      ]
    )
  end

  defp area([], _span, _most), do: []

  defp area(points, span, most) do
    # What was before the first sample is not known; the last one holds until now.
    {_age, last} = List.last(points)

    points =
      Enum.map(points ++ [{0, last}], fn {age, value} -> {x(age, span), y(value, most)} end)

    [{left, _} | _] = points
    line = Enum.map_join(points, " L", fn {x, y} -> "#{x} #{y}" end)

    [
      el(:path, [class: "area", d: "M#{left} #{@height} L#{line} L#{@width} #{@height} Z"], []),
      el(:path, [class: "line", d: "M#{line}"], [])
    ]
  end

  defp mark(x), do: el(:line, [class: "mark", x1: x, x2: x, y1: 0, y2: @height], [])

  defp x(age, span), do: Float.round(@width * (1 - min(age, span) / span), 1)

  # A line at the very edge would be half as wide.
  defp y(_value, 0), do: @height - 1.5
  defp y(value, most), do: Float.round(@height - 1.5 - value / most * (@height - 6), 1)
end
