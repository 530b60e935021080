defmodule Blanket.NativeTest do
  # Not async: what is made here is given away, kept and named at random.
  use ExUnit.Case, async: false

  alias Blanket.{Hostile, Native, Table}

  test "any arguments of any stub end in an answer or a badarg, and change a table as :ets or not at all" do
    answered = Hostile.run(150_000, ExUnit.configuration()[:seed])
    assert Hostile.known() -- Map.keys(answered) == []
  end

  test "stubs called by processes at once with each other's cursors leave tables whole" do
    assert :ok = Hostile.run_together(4, 20_000, ExUnit.configuration()[:seed])
  end

  test "a table has a key position" do
    for keypos <- [0, -1, 1.0, :a] do
      settings = {:name, :set, :public, false, keypos, :none, {false, false, false, false}}
      assert_raise ArgumentError, fn -> Native.new(settings) end
    end
  end

  test "an improper list of keys deletes none" do
    table = Table.new(:table, [])
    Table.insert(table, for(i <- 1..10, do: {i}))
    assert_raise ArgumentError, fn -> Native.delete_many(table, [1, 2 | 3]) end
    assert_raise ArgumentError, fn -> Native.delete_many(table, Enum.to_list(1..10) ++ :end) end
    assert_raise ArgumentError, fn -> Native.lookup_many(table, [1, 2 | 3]) end
    assert Table.info(table, :size) == 10
  end

  test "an improper list of tables is no list to take snapshots of" do
    table = Table.new(:table, [])
    assert_raise ArgumentError, fn -> Native.snapshot([table | table]) end
    assert_raise ArgumentError, fn -> Native.snapshot([table | :end]) end
    assert [_] = Native.snapshot([table])
  end

  test "a bag gets no object twice by an exchange" do
    table = Table.new(:table, [:bag])
    Table.insert(table, [{1, :a}, {1, :b}])
    assert_raise ArgumentError, fn -> Native.exchange(table, {1, :a}, {1, :b}) end
    assert Table.lookup(table, 1) == [{1, :a}, {1, :b}]
  end

  test "a commit names each table once" do
    table = Table.new(:table, [])
    write_set = %{{0, 1} => {1, :a}, {1, 1} => {1, :b}}

    for commit <- [&Native.commit/4, &Native.commit_large/4] do
      assert_raise ArgumentError, fn -> commit.({table, table}, %{}, write_set, %{}) end
    end

    assert Table.tab2list(table) == []
  end

  test "a commit looks at no more than can be done at once before it leaves it to a dirty scheduler" do
    table = Table.new(:table, [])
    many = Map.new(1..1_000, &{&1, :garbage})
    operations = List.duplicate({:insert, {1}}, 1_000) ++ [:garbage]
    objects = List.duplicate({1}, 1_000) ++ [:garbage]

    for {read_set, write_set} <- [
          {many, %{}},
          {%{}, many},
          {%{{0, 1} => objects}, %{}},
          {%{}, %{{0, 1} => operations}}
        ] do
      assert Native.commit({table}, read_set, write_set, %{}) == :large

      assert_raise ArgumentError, fn ->
        Native.commit_large({table}, read_set, write_set, %{})
      end
    end

    assert Table.tab2list(table) == []
  end

  test "a watch that has ended shows nothing, and is none of a commit" do
    table = Table.new(:table, [])
    Table.insert(table, {1})
    watch = Native.watch(table)
    assert Native.first(watch) == 1
    assert Native.end_watch(watch)
    assert Native.tab2list(watch) == []
    assert Table.tab2list(table) == [{1}]
    assert_raise ArgumentError, fn -> Native.commit({table}, %{}, %{}, %{0 => watch}) end
    assert_raise ArgumentError, fn -> Native.end_watch(table) end
  end
end
