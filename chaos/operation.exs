defmodule Chaos.Operation do
  # What a writer does: chosen at random, and run on the table by the writer or by its owner.

  alias Blanket.Table
  alias Chaos.{Model, Plan}

  @doc "The next operation of a lane, whose objects get numbers from `number` on."
  def random(table, contents, number) do
    roll = :rand.uniform(1000)

    cond do
      Model.size(contents) > 3 * table.keys -> :clear
      roll <= 350 -> {:insert, [{key(table), number}]}
      roll <= 480 -> {:insert, pairs(table, number, :rand.uniform(table.keys))}
      roll <= 540 -> {:insert_new, pairs(table, number, :rand.uniform(4))}
      roll <= 600 -> again(table, contents, number)
      roll <= 700 -> {:delete, key(table)}
      roll <= 760 -> {:delete_object, {key(table), number_there(contents, number)}}
      roll <= 830 -> {:take, key(table)}
      roll <= 960 -> count(table, number)
      not table.mortal? -> {:delete, key(table)}
      roll <= 970 -> :delete_all
      roll <= 980 -> :recreate
      roll <= 990 or not table.transient? -> :abandon
      true -> :leave
    end
  end

  defp key(table), do: :rand.uniform(table.keys)

  # Of a list with one key twice, :ets does not say which of a set stays.
  defp pairs(table, number, count) do
    keys = Enum.take_random(1..table.keys, count)
    Enum.zip(keys, number..(number + count))
  end

  # The same object once more, or another in its place.
  defp again(table, contents, number) do
    case Map.delete(contents, 0) do
      empty when empty == %{} ->
        {:insert, [{key(table), number}]}

      contents ->
        {key, numbers} = Enum.random(contents)
        {:insert, [{key, Enum.random([number | numbers])}]}
    end
  end

  defp number_there(contents, number) do
    case Map.delete(contents, 0) do
      empty when empty == %{} -> number
      contents -> contents |> Map.values() |> Enum.random() |> Enum.random()
    end
  end

  defp count(table, number) do
    if Plan.set?(table), do: {:count, :rand.uniform(9)}, else: {:insert, [{key(table), number}]}
  end

  @doc "Numbers that an operation may use up."
  def numbers({_, pairs}) when is_list(pairs), do: length(pairs)
  def numbers(_), do: 1

  @doc "Whether it is a list insert that takes several slices."
  def long?({_, pairs}) when is_list(pairs), do: length(pairs) > 1000
  def long?(_), do: false

  @doc "Whether it is for the owner alone, who may be another afterwards."
  def of_owner?(operation), do: operation in [:recreate, :abandon, :leave]

  @doc "Runs an operation that is on objects, and answers what the model does."
  def run(reference, table, lane, operation)

  def run(reference, table, lane, {:insert, [pair]}),
    do: Table.insert(reference, Plan.object(table, lane, pair))

  def run(reference, table, lane, {insert, pairs}) when insert in [:insert, :insert_new],
    do: apply(Table, insert, [reference, Enum.map(pairs, &Plan.object(table, lane, &1))])

  def run(reference, table, lane, {:delete, key}),
    do: Table.delete(reference, Plan.key(table, lane, key))

  def run(reference, table, lane, {:delete_object, pair}),
    do: Table.delete_object(reference, Plan.object(table, lane, pair))

  def run(reference, table, lane, {:take, key}) do
    {:ok, contents} = Model.read(table, Table.take(reference, Plan.key(table, lane, key)))
    Map.get(contents, key, [])
  end

  def run(reference, table, lane, {:count, by}) do
    counter = Plan.object(table, lane, {:counter, 0})
    Table.update_counter(reference, elem(counter, 0), by, counter)
  end

  def run(reference, table, lane, :clear),
    do: Table.select_delete(reference, Plan.spec(table, lane, true))

  def run(reference, _table, _lane, :delete_all), do: Table.delete_all_objects(reference)
end
