defmodule Chaos.Reading do
  # The ways to read a lane. All but the look-up answer all of its objects.

  alias Blanket.Table
  alias Chaos.Plan

  @means [:lookup, :match_spec, :portions, :walk, :list, :fold]

  def random_means, do: Enum.random(@means)
  def random_of_all, do: Enum.random(@means -- [:lookup])

  @doc "All objects of a lane, those of a key in their order."
  def lane(reference, table, lane), do: run(:match_spec, reference, table, lane)

  def run({:lookup, key}, reference, table, lane),
    do: Table.lookup(reference, Plan.key(table, lane, key))

  def run(:match_spec, reference, table, lane),
    do: Table.select(reference, Plan.spec(table, lane, :object))

  def run(:portions, reference, table, lane) do
    reference |> Table.select(Plan.spec(table, lane, :object), 5) |> portions([])
  end

  def run(:walk, reference, table, lane) do
    Table.safe_fixtable(reference, true)
    walk(Table.first(reference), reference, table, lane, [])
  after
    # The calling process may not be the one that could read.
    Table.safe_fixtable(reference, false)
  end

  def run(:list, reference, table, lane),
    do: reference |> Table.tab2list() |> Enum.filter(&Plan.in_lane?(table, lane, &1))

  def run(:fold, reference, table, lane) do
    collect = fn object, objects ->
      if Plan.in_lane?(table, lane, object), do: [object | objects], else: objects
    end

    Enum.reverse(Table.foldl(collect, [], reference))
  end

  defp portions(:"$end_of_table", found), do: Enum.concat(Enum.reverse(found))

  defp portions({objects, continuation}, found),
    do: continuation |> Table.select() |> portions([objects | found])

  defp walk(:"$end_of_table", _reference, _table, _lane, found),
    do: Enum.concat(Enum.reverse(found))

  defp walk(key, reference, table, lane, found) do
    objects =
      if Plan.in_lane?(table, lane, {key, nil, nil}), do: Table.lookup(reference, key), else: []

    walk(Table.next(reference, key), reference, table, lane, [objects | found])
  end
end
