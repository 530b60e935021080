defmodule Soak.Churn do
  # Kinds of churn, each on a table of its own, which it deletes. What is live is counted here: a model
  # holds the size of each object under its key.

  alias Blanket.Table

  @live {__MODULE__, :live}

  @doc "Bytes of the objects that are in tables now."
  def live, do: :counters.get(counter(), 1)

  defp counter do
    with nil <- :persistent_term.get(@live, nil) do
      :persistent_term.put(@live, :counters.new(1, []))
      counter()
    end
  end

  @doc "One kind of churn, chosen by `seed`."
  def step(seed) do
    :rand.seed(:exsss, seed)
    type = Enum.random([:set, :ordered_set])

    case :rand.uniform(6) do
      1 -> overwrite(type)
      2 -> grow_and_shrink(type)
      3 -> large_binaries(type)
      4 -> bag(Enum.random([:bag, :duplicate_bag]))
      5 -> list_inserts(type)
      6 -> maps(type)
    end
  end

  # Objects of all sizes in place of objects of all sizes.
  defp overwrite(type) do
    table = new(type)

    sizes =
      Enum.reduce(1..400_000, %{}, fn _, sizes ->
        put(table, sizes, :rand.uniform(50_000), payload())
      end)

    drop(table, sizes)
  end

  defp grow_and_shrink(type) do
    table = new(type)

    sizes =
      Enum.reduce(1..3, %{}, fn _, sizes ->
        sizes =
          Enum.reduce(1..120_000, sizes, fn key, sizes -> put(table, sizes, key, payload()) end)

        1..120_000
        |> Enum.take_random(110_000)
        |> Enum.reduce(sizes, fn key, sizes -> delete(table, sizes, key) end)
      end)

    drop(table, sizes)
  end

  defp large_binaries(type) do
    table = new(type)

    sizes =
      Enum.reduce(1..1500, %{}, fn n, sizes ->
        key = :rand.uniform(100)

        if rem(n, 3) == 0,
          do: delete(table, sizes, key),
          else: put(table, sizes, key, :binary.copy(<<n::32>>, :rand.uniform(500_000)))
      end)

    drop(table, sizes)
  end

  # Objects under few keys, so that these become runs.
  defp bag(type) do
    table = new(type)

    sizes =
      Enum.reduce(1..4, %{}, fn _, sizes ->
        added =
          Enum.reduce(1..40_000, sizes, fn n, sizes ->
            object = {:rand.uniform(5), n, payload()}
            if is_map_key(sizes, n), do: sizes, else: add(table, sizes, n, object)
          end)

        added
        |> Map.keys()
        |> Enum.take_random(38_000)
        |> Enum.reduce(added, fn n, sizes ->
          {size, object} = sizes[n]
          Table.delete_object(table, object)
          count(-size)
          Map.delete(sizes, n)
        end)
      end)

    drop(table, Map.new(sizes, fn {n, {size, _}} -> {n, size} end))
  end

  defp add(table, sizes, n, object) do
    Table.insert(table, object)
    count(size(object))
    Map.put(sizes, n, {size(object), object})
  end

  defp list_inserts(type) do
    table = new(type)

    sizes =
      Enum.reduce(1..12, %{}, fn n, sizes ->
        objects = for key <- 1..40_000, rem(key, 3) != rem(n, 3), do: {key, payload()}
        Table.insert(table, objects)

        sizes =
          Enum.reduce(objects, sizes, fn object, sizes -> note(sizes, elem(object, 0), object) end)

        if rem(n, 4) == 0 do
          Table.delete_all_objects(table)
          count(-sum(sizes))
          %{}
        else
          sizes
        end
      end)

    drop(table, sizes)
  end

  # Small ones are mere memory, large ones are not.
  defp maps(type) do
    table = new(type)

    sizes =
      Enum.reduce(1..150_000, %{}, fn n, sizes ->
        key = :rand.uniform(20_000)
        map = Map.new(1..Enum.random([1, 3, 30, 60]), &{&1, n})
        put(table, sizes, key, map)
      end)

    drop(table, sizes)
  end

  defp new(type), do: Table.new(:churn, [type, :public])

  defp drop(table, sizes) do
    Table.delete(table)
    count(-sum(sizes))
  end

  defp sum(sizes), do: sizes |> Map.values() |> Enum.sum()

  defp put(table, sizes, key, payload) do
    object = {key, payload}
    Table.insert(table, object)
    note(sizes, key, object)
  end

  defp note(sizes, key, object) do
    size = size(object)
    count(size - Map.get(sizes, key, 0))
    Map.put(sizes, key, size)
  end

  defp delete(table, sizes, key) do
    Table.delete(table, key)
    {size, sizes} = Map.pop(sizes, key, 0)
    count(-size)
    sizes
  end

  defp count(bytes), do: :counters.add(counter(), 1, bytes)

  defp payload do
    n = :rand.uniform(1_000_000)

    case :rand.uniform(8) do
      1 -> n
      2 -> :an_atom
      3 -> n / 3
      4 -> {n, [n, n], "a string"}
      5 -> :binary.copy(<<n::32>>, 1 + rem(n, 15))
      6 -> :binary.copy(<<n::32>>, 20 + rem(n, 300))
      7 -> %{a: n, b: [n]}
      8 -> Enum.to_list(1..(1 + rem(n, 60)))
    end
  end

  # Words on a heap, and the bytes of what stands beside it.
  defp size(term), do: :erts_debug.flat_size(term) * 8 + beside(term)

  defp beside(binary) when is_binary(binary) and byte_size(binary) > 64, do: byte_size(binary)

  defp beside(tuple) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> Enum.map(&beside/1) |> Enum.sum()

  defp beside(_), do: 0
end
