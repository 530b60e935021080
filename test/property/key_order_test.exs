defmodule Blanket.KeyOrderTest do
  # Thousands of keys that are alike, so that leaves split, share prefixes and fall back to comparing whole
  # keys: an ordered_set has to hold them in term order, and every table has to hold them all.
  use ExUnit.Case, async: true

  import Blanket.Property

  alias Blanket.{Table, Terms}

  test "an ordered_set holds any keys in term order" do
    check(keys(3000), 40, fn keys ->
      {table, twin} = filled(keys, [:ordered_set])
      in_order = Enum.map(:ets.tab2list(twin), &elem(&1, 0))

      with :ok <- same(in_order, Enum.map(Table.tab2list(table), &elem(&1, 0)), "tab2list"),
           :ok <- ascending(in_order),
           :ok <- same(in_order, walk(table, :first, :next), "first and next"),
           :ok <- same(Enum.reverse(in_order), walk(table, :last, :prev), "last and prev") do
        thinned(table, twin, Enum.take_every(Enum.shuffle(keys), 2))
      end
    end)
  end

  test "an ordered_set finds the neighbours of keys that it does not hold" do
    check(:proper_types.tuple([keys(1500), keys(300)]), 40, fn {keys, others} ->
      {table, twin} = filled(keys, [:ordered_set])

      Enum.find_value(others, :ok, fn key ->
        here = {Table.next(table, key), Table.prev(table, key), Table.lookup(table, key)}
        there = {:ets.next(twin, key), :ets.prev(twin, key), :ets.lookup(twin, key)}
        if here !== there, do: "around #{inspect(key)}: #{inspect(here)}, not #{inspect(there)}"
      end)
    end)
  end

  for type <- [:set, :bag, :duplicate_bag] do
    test "a #{type} holds any keys" do
      check(keys(3000), 15, fn keys ->
        {table, twin} = filled(keys, [unquote(type)])
        distinct = twin |> walk(:ets, :first, :next) |> Enum.frequencies()

        with :ok <- same(contents(:ets, twin), contents(Table, table), "tab2list"),
             :ok <- same(distinct, Enum.frequencies(walk(table, :first, :next)), "first and next") do
          thinned(table, twin, Enum.take_every(keys, 2))
        end
      end)
    end
  end

  for type <- [:set, :ordered_set, :bag, :duplicate_bag] do
    test "a #{type} of 50,000 objects grows, changes and shrinks as one of :ets" do
      :rand.seed(:exsss, {ExUnit.configuration()[:seed], 1, 1})
      table = Table.new(:table, [unquote(type)])
      twin = :ets.new(:table, [unquote(type)])

      for {deletes, count} <- [{1, 90_000}, {9, 60_000}, {50, 60_000}], _ <- 1..count do
        key = key(:rand.uniform(60_000))

        case :rand.uniform(50 + deletes) do
          n when n <= 50 ->
            object = {key, :rand.uniform(3)}
            Table.insert(table, object)
            :ets.insert(twin, object)

          n when rem(n, 3) == 0 ->
            assert Table.take(table, key) === :ets.take(twin, key)

          n when rem(n, 3) == 1 ->
            Table.delete_object(table, {key, 1})
            :ets.delete_object(twin, {key, 1})

          _ ->
            Table.delete(table, key)
            :ets.delete(twin, key)
        end
      end

      assert Table.info(table, :size) == :ets.info(twin, :size)
      assert contents(Table, table) === contents(:ets, twin)
      for i <- 1..60_000, do: assert(Table.lookup(table, key(i)) === :ets.lookup(twin, key(i)))

      for key <- walk(table, :first, :next), do: Table.delete(table, key)
      assert Table.info(table, :size) == 0
      assert Table.tab2list(table) == []
    end
  end

  # Keys of three shapes, for leaves that hold several.
  defp key(i) when rem(i, 3) == 0, do: i
  defp key(i) when rem(i, 3) == 1, do: "user:0000000000:" <> Integer.to_string(i)
  defp key(i), do: {:user, i, "abc"}

  defp keys(count) do
    :proper_types.resize(count, :proper_types.list(:proper_types.resize(12, Terms.key())))
  end

  # Half of the objects come one by one, half in lists.
  defp filled(keys, options) do
    table = Table.new(:table, options)
    twin = :ets.new(:table, options)
    objects = keys |> Enum.with_index() |> Enum.map(fn {key, i} -> {key, i} end)
    {singly, listed} = Enum.split(objects, div(length(objects), 2))
    for object <- singly, do: Table.insert(table, object)
    for chunk <- Enum.chunk_every(listed, 500), do: Table.insert(table, chunk)
    for object <- objects, do: :ets.insert(twin, object)
    {table, twin}
  end

  defp thinned(table, twin, keys) do
    for key <- keys do
      Table.delete(table, key)
      :ets.delete(twin, key)
    end

    same(contents(:ets, twin), contents(Table, table), "tab2list after deleting")
  end

  defp contents(module, table) do
    case module.info(table, :type) do
      :ordered_set -> module.tab2list(table)
      _ -> Enum.frequencies(module.tab2list(table))
    end
  end

  defp walk(table, module \\ Table, first, next) do
    apply(module, first, [table])
    |> Stream.iterate(&apply(module, next, [table, &1]))
    |> Enum.take_while(&(&1 !== :"$end_of_table"))
  end

  defp same(same, same, _what), do: :ok

  defp same(expected, got, what) do
    "#{what}: #{inspect(got, limit: 30)}, not #{inspect(expected, limit: 30)}"
  end

  defp ascending(keys) do
    keys
    |> Enum.zip(Enum.drop(keys, 1))
    |> Enum.find_value(:ok, fn {a, b} ->
      if not (a < b), do: "#{inspect(a)} stands before #{inspect(b)}"
    end)
  end
end
