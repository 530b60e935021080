defmodule Chaos.Model do
  # What the objects of a lane are: a map of the keys to the numbers of their objects, in order. The
  # counter, of sets, is the key 0.

  @doc "The answer of an operation on `contents`, and the contents afterwards."
  def run(type, contents, operation)

  def run(type, contents, {:insert, pairs}),
    do: {true, Enum.reduce(pairs, contents, &insert(type, &2, &1))}

  def run(type, contents, {:insert_new, pairs}) do
    if Enum.any?(pairs, fn {key, _} -> is_map_key(contents, key) end),
      do: {false, contents},
      else: run(type, contents, {:insert, pairs})
  end

  def run(_type, contents, {:delete, key}), do: {true, Map.delete(contents, key)}

  def run(_type, contents, {:delete_object, {key, number}}) do
    case Enum.reject(Map.get(contents, key, []), &(&1 == number)) do
      [] -> {true, Map.delete(contents, key)}
      numbers -> {true, %{contents | key => numbers}}
    end
  end

  def run(_type, contents, {:take, key}) do
    {numbers, contents} = Map.pop(contents, key, [])
    {numbers, contents}
  end

  def run(_type, contents, {:count, by}) do
    [count] = Map.get(contents, 0, [0])
    {count + by, Map.put(contents, 0, [count + by])}
  end

  def run(_type, contents, :clear),
    do: {contents |> Map.values() |> List.flatten() |> length(), %{}}

  def run(_type, _contents, :delete_all), do: {true, %{}}
  def run(_type, _contents, :recreate), do: {:ok, %{}}
  def run(_type, _contents, :abandon), do: {:ok, %{}}
  def run(_type, _contents, :leave), do: {:ok, %{}}

  defp insert(:bag, contents, {key, number}) do
    numbers = Map.get(contents, key, [])
    if number in numbers, do: contents, else: Map.put(contents, key, numbers ++ [number])
  end

  defp insert(:duplicate_bag, contents, {key, number}),
    do: Map.update(contents, key, [number], &(&1 ++ [number]))

  defp insert(_set, contents, {key, number}), do: Map.put(contents, key, [number])

  @doc """
  Whether `found` can be there after an operation whose caller did not live to see the answer: it
  happened or not, and nothing in between.
  """
  def possible?(type, contents, operation, found)

  # A search that deletes is no single change.
  def possible?(_type, contents, :clear, found) do
    Enum.all?(found, fn {key, numbers} -> numbers -- Map.get(contents, key, []) == [] end)
  end

  def possible?(type, contents, operation, found),
    do: found == contents or found == elem(run(type, contents, operation), 1)

  @doc "How many objects there are."
  def size(contents),
    do: Enum.reduce(contents, 0, fn {_, numbers}, size -> size + length(numbers) end)

  @doc """
  The contents that objects of a table stand for, or what is wrong with them.
  """
  def read(table, objects) do
    Enum.reduce_while(objects, {:ok, %{}}, fn {key, number, payload}, {:ok, contents} ->
      key = Chaos.Plan.lane_key(table, key)

      if payload == if(key == 0, do: nil, else: Chaos.Payload.of(number)),
        do: {:cont, {:ok, Map.update(contents, key, [number], &[number | &1])}},
        else: {:halt, {:damaged, {key, number, payload}}}
    end)
    |> case do
      {:ok, contents} ->
        {:ok, Map.new(contents, fn {key, numbers} -> {key, Enum.reverse(numbers)} end)}

      damaged ->
        damaged
    end
  end
end
