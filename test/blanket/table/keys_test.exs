defmodule Blanket.Table.KeysTest do
  # What Blanket.Table has beyond :ets to look up and delete by key.
  use ExUnit.Case, async: true

  alias Blanket.Table

  defp message(fun), do: assert_raise(ArgumentError, fun) |> Exception.message()

  describe "a single object" do
    for type <- [:set, :ordered_set] do
      test "is fetched from a #{type}" do
        table = Table.new(:table, [unquote(type)])
        Table.insert(table, [{1, "Ada"}, {"two", nil}, {{3}, %{a: 1}, 5}])
        assert Table.fetch(table, 1) == {:ok, {1, "Ada"}}
        assert Table.fetch!(table, {3}) == {{3}, %{a: 1}, 5}
        assert Table.get(table, "two") == {"two", nil}

        assert Table.fetch(table, 4) == :error
        assert Table.get(table, 4) == nil
        assert Table.get(table, 4, :default) == :default
        error = assert_raise KeyError, fn -> Table.fetch!(table, 4) end
        assert {error.key, error.term} == {4, table}
      end
    end

    test "is a matter of tables that have no more under a key" do
      for type <- [:bag, :duplicate_bag] do
        table = Table.new(:table, [type])
        Table.insert(table, {1, 1})
        text = "1st argument: not possible on a #{type}"
        assert message(fn -> Table.fetch(table, 1) end) =~ text
        assert message(fn -> Table.fetch!(table, 1) end) =~ text
        assert message(fn -> Table.get(table, 1) end) =~ text
        assert message(fn -> Table.get(table, 1, 2) end) =~ text
      end
    end

    test "is for those who may read" do
      table = Table.new(:table, [:private])

      Task.await(
        Task.async(fn ->
          assert message(fn -> Table.fetch(table, 1) end) =~ "private"
          assert message(fn -> Table.get(table, 1) end) =~ "private"
        end)
      )
    end
  end

  describe "many keys" do
    for type <- [:set, :ordered_set, :bag, :duplicate_bag] do
      test "are looked up as one by one, in a #{type}" do
        table = Table.new(:table, [unquote(type)])
        Table.insert(table, for(i <- 1..20_000, j <- 1..2, do: {i, j, "value"}))
        keys = Enum.shuffle(-5_000..25_000)
        assert Table.lookup_many(table, keys) == Enum.map(keys, &Table.lookup(table, &1))
        assert Table.lookup_many(table, [1, 1]) |> Enum.uniq() |> length() == 1
        assert Table.lookup_many(table, []) == []
      end

      test "are deleted as one by one, in a #{type}" do
        table = Table.new(:table, [unquote(type)])
        Table.insert(table, for(i <- 1..20_000, j <- 1..2, do: {i, j, "value"}))
        assert Table.delete_many(table, []) == true
        assert Table.delete_many(table, Enum.to_list(30_000..11//-1)) == true
        assert walk(table) == Enum.to_list(1..10)
      end
    end

    test "may have many objects each" do
      table = Table.new(:table, [:duplicate_bag])
      for key <- [:a, :b], do: Table.insert(table, for(i <- 1..30_000, do: {key, i}))
      Table.insert(table, [{:c, 1}, {:c, 2}])

      assert Table.lookup_many(table, [:c, :a, :d, :b]) ==
               [
                 [{:c, 1}, {:c, 2}],
                 for(i <- 1..30_000, do: {:a, i}),
                 [],
                 for(i <- 1..30_000, do: {:b, i})
               ]

      Table.delete_many(table, [:a, :c])
      assert Table.info(table, :size) == 30_000
    end

    test "are a proper list, or nothing is done" do
      table = Table.new(:table, [])
      Table.insert(table, [{1}, {2}])

      for {keys, text} <- [{:a, "not a list"}, {[1, 2 | 3], "not a proper list"}] do
        assert message(fn -> Table.lookup_many(table, keys) end) =~ "2nd argument: #{text}"
        assert message(fn -> Table.delete_many(table, keys) end) =~ "2nd argument: #{text}"
      end

      assert Table.info(table, :size) == 2
    end

    test "are looked up and deleted by those who may" do
      table = Table.new(:table, [:protected])
      Table.insert(table, {1})

      Task.await(
        Task.async(fn ->
          assert Table.lookup_many(table, [1]) == [[{1}]]
          assert message(fn -> Table.delete_many(table, [1]) end) =~ "protected"
        end)
      )

      Table.delete(table)
      assert message(fn -> Table.lookup_many(table, [1]) end) =~ "1st argument"
    end
  end

  defp walk(table) do
    Table.first(table)
    |> Stream.iterate(&Table.next(table, &1))
    |> Enum.take_while(&(&1 != :"$end_of_table"))
    |> Enum.sort()
  end
end
