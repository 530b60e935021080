defmodule Blanket.Table.Show do
  @moduledoc false

  # What i/0 to i/3 print, as :ets does: a line for each table, or the objects of one by pages.

  alias Blanket.Table

  ## All tables

  @columns [15, 17, 5, 6, 8]

  @spec tables() :: :ok
  def tables do
    line([:id, :name, :type, :size, :mem, :owner])
    :io.put_chars([" ", List.duplicate(?-, 76), ?\n])
    for table <- Enum.sort(Table.all()), info = known(table), do: line(info)
    :ok
  end

  defp known(table) do
    case Table.info(table) do
      :undefined ->
        nil

      info ->
        id = if info[:named_table], do: info[:name], else: info[:id]
        [id, info[:name], info[:type], info[:size], info[:memory], owner(info[:owner])]
    end
  end

  defp owner(pid) when is_pid(pid) do
    case Process.info(pid, :registered_name) do
      {:registered_name, name} when name != [] -> name
      _ -> pid
    end
  end

  defp owner(none), do: none

  # What is too long for its column moves the others to the right.
  defp line(fields) do
    {padded, [last]} = fields |> Enum.map(&text/1) |> Enum.split(length(@columns))

    padded =
      for {field, width} <- Enum.zip(padded, @columns),
          do: [:string.pad(field, width), " "]

    :io.put_chars([" ", padded, last, ?\n])
  end

  ## One table

  @spec objects(Table.table(), pos_integer, pos_integer) :: :ok
  def objects(table, height, width) do
    view = %{table: table, height: height, width: width, regexp: nil, number: 1}
    Table.safe_fixtable(table, true)

    try do
      page(view, Table.first_lookup(table), 1)
    after
      if Table.info(table) != :undefined, do: Table.safe_fixtable(table, false)
    end
  end

  # Shows objects until the page is full; `line` is the next on it.
  defp page(view, :"$end_of_table", _line), do: ask(view, :"$end_of_table")
  defp page(%{height: height} = view, found, line) when line >= height, do: ask(view, found)

  defp page(view, {key, objects}, line) do
    shown = Enum.filter(objects, &shown?(view, &1))

    for {object, number} <- Enum.with_index(shown, view.number),
        do: :io.format("<~-4w> ~ts~n", [number, cut(text(object), view.width)])

    count = length(shown)
    view = %{view | number: view.number + count}
    page(view, Table.next_lookup(view.table, key), line + count)
  end

  defp ask(view, found) do
    case :io.get_line(prompt(found)) do
      answer when is_binary(answer) or is_list(answer) ->
        answer |> IO.chardata_to_string() |> String.trim_trailing("\n") |> obey(view, found)

      _end_of_file ->
        :ok
    end
  end

  defp prompt(:"$end_of_table"), do: "EOT  (q)uit (p)Digits (k)ill /Regexp -->"
  defp prompt(_found), do: "(c)ontinue (q)uit (p)Digits (k)ill /Regexp -->"

  defp obey("q", _view, _found), do: :ok

  defp obey("k", view, _found) do
    Table.delete(view.table)
    :ok
  end

  defp obey(go_on, view, found) when go_on in ["", "c"] and found != :"$end_of_table",
    do: page(view, found, 1)

  defp obey("p" <> digits, view, found) do
    case Integer.parse(digits) do
      {number, ""} when number > 0 -> print(view, number)
      _ -> :io.put_chars("Bad digits\n")
    end

    ask(view, found)
  end

  defp obey("/" <> regexp, view, found) do
    case :re.compile(regexp, [:unicode]) do
      {:ok, regexp} ->
        page(%{view | regexp: regexp, number: 1}, Table.first_lookup(view.table), 1)

      {:error, {reason, _position}} ->
        :io.format("~ts~n", [reason])
        ask(view, found)
    end
  end

  defp obey(_other, view, found), do: ask(view, found)

  # The object of that number, in full.
  defp print(view, number) do
    Stream.unfold(Table.first_lookup(view.table), fn
      :"$end_of_table" -> nil
      {key, objects} -> {objects, Table.next_lookup(view.table, key)}
    end)
    |> Stream.concat()
    |> Stream.filter(&shown?(view, &1))
    |> Stream.drop(number - 1)
    |> Enum.take(1)
    |> Enum.each(&:io.format("~tp~n", [&1]))
  end

  defp shown?(%{regexp: nil}, _object), do: true

  defp shown?(%{regexp: regexp}, object),
    do: :re.run(text(object), regexp, capture: :none) == :match

  defp cut(text, width) do
    if :string.length(text) > width - 8,
      do: [:string.slice(text, 0, max(width - 13, 0)), "  ..."],
      else: text
  end

  # On one line, in Erlang's syntax, as what it shows is for both.
  defp text(term), do: :io_lib.format("~0tp", [term]) |> List.flatten()
end
