defmodule Bench.Report.Terminal do
  @moduledoc "A line for each row, and below it one for each way that :ets can be set which is slower."

  alias Bench.Report.Figures
  alias Bench.Row

  def machine(machine) do
    IO.puts(
      "#{machine.cpu}, #{machine.cores} cores; OTP #{machine.otp}, Elixir #{machine.elixir}"
    )

    IO.puts(
      "Times are for one call or object, the median of the rounds ± half of the middle half."
    )

    IO.puts(
      "The ratio is Blanket's to the best of the others: below 1, Blanket is faster or smaller."
    )
  end

  def heading(heading) do
    columns = [cell("Blanket", 11), cell("others", 18), cell("ratio", 16)]
    IO.puts("
#{pad(heading, 48)} #{columns}   goal")
  end

  @doc "Shown while a row is measured, where there is a terminal."
  def progress(name, doing) do
    if IO.ANSI.enabled?(), do: IO.write(:stderr, "\r\e[K  #{name}: #{doing}")
  end

  def row(row) do
    if IO.ANSI.enabled?(), do: IO.write(:stderr, "\r\e[K")
    IO.puts(line(row))
    if row.note, do: IO.puts("      #{row.note}")
  end

  def failed(name, reason) do
    if IO.ANSI.enabled?(), do: IO.write(:stderr, "\r\e[K")
    IO.puts("  #{name}: FAILED\n#{reason}")
  end

  defp line(row) do
    [{best_name, best} | rest] = Row.rivals(row)

    case Row.blanket(row) do
      nil ->
        "  #{pad(row.name, 46)} #{cell("", 18)} #{figure(best, row)}"

      blanket ->
        first =
          "  #{pad(row.name, 46)} #{figure(blanket, row)} #{figure(best, row)}  #{outcome(row)}#{named(best_name)}"

        Enum.join([first | Enum.map(rest, &slower(row, &1))], "\n")
    end
  end

  defp outcome(%{goal: {:above, most}} = row) do
    cell("+" <> Figures.amount(Row.above(row), row.unit), 9) <> mark(row, "≤ +#{most} µs")
  end

  defp outcome(row) do
    ratio = cell(Figures.ratio(Row.ratio(row)), 7)

    case row.goal do
      nil -> ratio <> String.duplicate(" ", 10)
      {:ratio, most} -> ratio <> mark(row, "≤ #{most}")
    end
  end

  defp mark(row, goal),
    do: if(Row.met?(row), do: "   #{pad(goal, 6)} ", else: " ! #{pad(goal, 6)} ")

  defp slower(row, {name, figure}) do
    ratio = Row.ratio(row, figure)

    goal =
      cond do
        row.others == nil or name == "ETS" -> ""
        ratio <= row.others -> "   ≤ #{row.others}"
        true -> " ! ≤ #{row.others}"
      end

    "    #{pad(name, 63)} #{figure(figure, row)}  #{cell(Figures.ratio(ratio), 7)}#{goal}"
  end

  defp named(name) when name in ["ETS", "bare restart"], do: ""
  defp named(best), do: "than #{best}"

  defp figure(figure, row) do
    cell("#{Figures.amount(figure.median, row.unit)} #{cell(Figures.spread(figure), 6)}", 18)
  end

  defp pad(text, width), do: String.pad_trailing(text, width)
  defp cell(text, width), do: String.pad_leading(text, width)
end
