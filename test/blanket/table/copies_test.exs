defmodule Blanket.Table.CopiesTest do
  use ExUnit.Case, async: true

  # What is stored is the caller's term word for word, and stays so in every garbage collection of
  # whoever gets a copy.

  alias Blanket.Table
  alias Blanket.Test.Counter

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  defp terms do
    large = :binary.copy("0123456789", 30)
    <<_::3, part::bitstring-size(17), _::bitstring>> = large

    [
      {},
      {[]},
      {{}, {{}}, {1, {2, {3}}}},
      [1, [2, [3 | 4]], {5} | :improper],
      Enum.to_list(1..5000),
      ~c"text",
      0.0,
      -1.5e300,
      Bitwise.bsl(1, 59),
      -Bitwise.bsl(1, 59) - 1,
      Bitwise.bsl(1, 64),
      -Bitwise.bsl(3, 700),
      "",
      "a",
      String.duplicate("b", 63),
      String.duplicate("b", 64),
      String.duplicate("b", 65),
      large,
      binary_part(large, 7, 20),
      binary_part(large, 7, 90),
      binary_part(large, 3, 0),
      <<1::3>>,
      <<large::binary, 1::1>>,
      part,
      %{},
      %{a: 1},
      %{1 => %{2.0 => [%{"three" => {3}}]}},
      Map.new(1..32, &{&1, {&1}}),
      Map.new(1..33, &{&1, {&1}}),
      Map.new(1..2000, &{"key #{&1}", [&1]}),
      self(),
      make_ref(),
      Enum.map(1..100, fn _ -> make_ref() end),
      :erlang.alias(),
      :atomics.new(1, []),
      [make_ref() | :atomics.new(1, [])],
      hd(:erlang.ports()),
      &is_atom/1,
      fn -> large end,
      List.to_tuple(Enum.to_list(1..10_000)),
      List.to_tuple(for i <- 1..3000, do: {i, "element #{i}"}),
      Enum.reduce(1..20_000, :innermost, fn i, inner -> {i, inner} end)
    ]
  end

  for type <- @types do
    test "of any term are the same after garbage collections, in a #{type}" do
      table = Table.new(:copies, [unquote(type)])
      objects = for {term, i} <- Enum.with_index(terms()), do: {i, term, [term, i | term]}
      for object <- objects, do: Table.insert(table, object)

      for {i, term, _} = object <- objects do
        copies = Table.lookup(table, i)
        :erlang.garbage_collect()
        assert copies == [object]
        assert :erlang.term_to_binary(copies) == :erlang.term_to_binary([object])
        element = Table.lookup_element(table, i, 2)
        :erlang.garbage_collect()
        assert element in [term, [term]]
      end

      all = Table.tab2list(table)
      :erlang.garbage_collect()
      assert Enum.sort_by(all, &elem(&1, 0)) == objects
    end

    test "of many objects that do not fit the heap survive its growth, in a #{type}" do
      table = Table.new(:copies, [unquote(type)])
      object = fn i -> {i, String.duplicate("x", rem(i, 70)), [i, {i}], %{i: i, f: i / 3}} end
      objects = Enum.map(1..5000, object)
      Table.insert(table, objects)

      {pid, monitor} =
        spawn_monitor(fn ->
          for _ <- 1..20 do
            all = Table.tab2list(table)
            found = Table.select(table, [{:_, [], [:"$_"]}])
            single = for i <- 1..5000, [object] <- [Table.lookup(table, i)], do: object
            :erlang.garbage_collect()
            assert Enum.sort(all) == objects
            assert Enum.sort(found) == objects
            assert single == objects
          end
        end)

      assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}, 60_000
    end
  end

  test "of small terms take no more than their words" do
    for term <- [{}, %{}, "", "text", 0.5, Bitwise.bsl(1, 70), make_ref(), ["a", %{b: {1.0}}]] do
      table = Table.new(:copies, [])
      empty = Table.info(table, :memory)
      Table.insert(table, {1, term, List.duplicate(0, 50)})
      assert (Table.info(table, :memory) - empty) in 100..(110 + :erts_debug.flat_size(term))
    end
  end

  test "have no empty tuple of their own" do
    table = Table.new(:copies, [])
    Table.insert(table, {:key, {}, [{}]})
    [{:key, one, [other]}] = Table.lookup(table, :key)
    # The VM has one of its own for all.
    assert Enum.all?([one, other], &:erts_debug.same(&1, List.to_tuple([])))
  end

  test "are told apart by the bits of a key that are no byte" do
    keys = ["", <<0::1>>, <<1::1>>, <<0::7>>, <<0>>, <<0::9>>, "a", <<"a", 0::1>>, <<"a", 1::3>>]

    for type <- @types do
      table = Table.new(:copies, [type])
      for key <- keys ++ Enum.map(keys, &{&1}), do: Table.insert(table, {key, key})
      assert Table.info(table, :size) == 2 * length(keys)
      for key <- keys, do: assert({Table.lookup(table, key), key} == {[{key, key}], key})
    end
  end

  test "do not keep the binary alive that a short part was taken of" do
    table = Table.new(:copies, [:set])
    large = :binary.copy("0123456789", 100_000)
    Table.insert(table, {binary_part(large, 10, 20), binary_part(large, 20, 30)})
    [{key, value}] = Table.tab2list(table)
    # Some VMs count bits here.
    assert :binary.referenced_byte_size(key) in [20, 20 * 8]
    assert :binary.referenced_byte_size(value) in [30, 30 * 8]
    assert Table.lookup(table, "01234567890123456789") == [{key, value}]
  end

  test "are of one version each, where only immediates beside the key are written" do
    table = Table.new(:copies, [:public])
    Table.insert(table, {"the key", 0, 0})

    writer =
      spawn_link(fn ->
        Stream.iterate(1, &(&1 + 1))
        |> Enum.each(fn i ->
          Table.insert(table, {"the key", i, -i})
          Table.update_counter(table, "the key", [{2, 1}, {3, -1}])
          Table.update_element(table, "the key", [{2, i}, {3, -i}])
        end)
      end)

    matching = [{{:_, :"$1", :"$2"}, [{:"/=", {:+, :"$1", :"$2"}, 0}], [:"$_"]}]
    whole = [{{:_, :"$1", :_}, [], [{{:"$1", :"$_"}}]}]

    for _ <- 1..50_000 do
      assert [{"the key", i, j}] = Table.lookup(table, "the key")
      assert i + j == 0
      assert Table.select(table, matching) == []
      assert [{i, {"the key", i, _}}] = Table.select(table, whole)
    end

    Counter.kill(writer)
  end

  test "are of one version each, while it is written" do
    table = Table.new(:copies, [:public])
    version = fn i -> {:key, i, [i, {i}], %{i => "#{i}"}} end
    Table.insert(table, version.(0))

    writer =
      spawn_link(fn ->
        Enum.each(Stream.iterate(1, &(&1 + 1)), &Table.insert(table, version.(&1)))
      end)

    for _ <- 1..50_000 do
      [{:key, i, _, _} = object] = Table.lookup(table, :key)
      assert object == version.(i)
    end

    Counter.kill(writer)
  end

  # What a call makes that has no place in the caller's heap stands apart from it until the next collection, which
  # may keep all of it, whether it is used or not.
  for type <- @types, compressed <- [[], [:compressed]] do
    @tag type: type, compressed: compressed
    test "come from a #{type} #{inspect(compressed)} and leave it whole, however full the caller's heap is",
         %{type: type, compressed: compressed} do
      table = Table.new(:copies, [type, :public | compressed])
      keys = [1.5, {1, [2]}, Bitwise.bsl(1, 70), "a key", make_ref()]
      long = String.duplicate("to be compressed ", 20)
      objects = for key <- keys, value <- [0, long], do: {{key, value}, 0, value, 0}
      Table.insert(table, objects)

      guarded = [{{:"$1", :_, :_, :_}, [{:==, {:element, 2, :"$_"}, 0}], [:"$1"]}]
      result = [{{:"$2", :"$_", {:element, 1, :"$_"}}}]

      calls = [
        &Table.lookup(table, &1),
        &Table.match_object(table, {&1, :_, :_, :_}),
        &Table.select(table, [{{&1, :"$1", :"$2", :_}, [], result}]),
        fn _key -> Table.select(table, guarded, 3) end,
        &Table.next_lookup(table, &1),
        &Table.lookup_element(table, &1, 1),
        &Table.lookup_many(table, [&1, &1]),
        (&Table.insert(table, Table.take(table, &1)))
        | if(type in [:set, :ordered_set], do: updates(table), else: [])
      ]

      for call <- calls, live <- 0..120 do
        {key, _, _, _} = Enum.at(objects, rem(live, length(objects)))

        {_, monitor} =
          spawn_monitor(fn ->
            list = Enum.to_list(1..live//1)
            answer = call.(key)
            :erlang.garbage_collect()
            exit({answer, list})
          end)

        assert_receive {:DOWN, ^monitor, _, _, {_answer, list}} when is_list(list)
      end

      assert Enum.sort(Table.tab2list(table)) == Enum.sort(objects)
    end
  end

  defp updates(table) do
    [
      &Table.insert(table, [{&1, 0, elem(&1, 1), 0}]),
      &Table.select_replace(table, [{{&1, :_, :_, :_}, [], [:"$_"]}]),
      &Table.select_replace(table, [{{&1, 0, :_, 0}, [], [{:const, {&1, 0, elem(&1, 1), 0}}]}]),
      &Table.update_counter(table, &1, List.duplicate({2, 0}, 30)),
      &Table.update_counter(table, &1, [{2, 1}, {2, -1}], {1, 1, 1}),
      &Table.update_element(table, &1, List.duplicate({4, 0}, 30)),
      &Table.update_element(table, &1, [{4, 0}, {3, elem(&1, 1)}]),
      &Table.compare_and_swap(table, {&1, 0, elem(&1, 1), 0}, {&1, 0, elem(&1, 1), 0})
    ]
  end
end
