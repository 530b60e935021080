defmodule Blanket.Table.CompressedTest do
  use ExUnit.Case, async: true

  alias Blanket.{Table, Terms}

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  defp large(i) do
    %{
      id: i,
      name: "user #{i}",
      text: String.duplicate("a text that says little, ", 20),
      history: for(j <- 1..20, do: {{2024, 1, j}, :login, i})
    }
  end

  defp small(i), do: {:small, i}

  for type <- @types, keypos <- [1, 3] do
    @tag type: type, keypos: keypos
    test "a #{type} with its key at #{keypos} holds the same objects, compressed or not",
         %{type: type, keypos: keypos} do
      [plain, compressed] =
        for options <- [[], [:compressed]] do
          table = Table.new(:table, [type, :public, {:keypos, keypos} | options])
          put = fn key, value, other -> put_elem({value, other, value, 1}, keypos - 1, key) end

          for i <- 1..300 do
            Table.insert(table, put.(i, large(i), 0))
            Table.insert(table, [put.(i, small(i), 1), put.({i, large(i)}, small(i), 2)])
            Table.insert_new(table, put.({:new, i}, large(i), large(i)))
            Table.insert(table, put.(i, large(i), 0))
          end

          for i <- 1..300//3 do
            Table.delete_object(table, put.({:new, i}, large(i), large(i)))
            Table.delete(table, {i, large(i)})
            Table.take(table, i)
          end

          table
        end

      assert Enum.sort(Table.tab2list(compressed)) === Enum.sort(Table.tab2list(plain))

      for i <- 1..300, key <- [i, {i, large(i)}, {:new, i}] do
        assert Table.lookup(compressed, key) === Table.lookup(plain, key)
        assert Table.member(compressed, key) == Table.member(plain, key)

        if Table.member(plain, key) do
          for pos <- 1..4 do
            assert Table.lookup_element(compressed, key, pos) ===
                     Table.lookup_element(plain, key, pos)
          end
        end
      end

      for match_spec <- [
            [{:_, [], [:"$_"]}],
            [{{:"$1", :_, :"$2", :_}, [{:is_map, :"$1"}], [{{:"$2", {:map_get, :id, :"$1"}}}]}],
            [{{:_, %{id: 7, history: :"$1"}, :_, :_}, [], [:"$1"]}],
            [{{7, :_, :_, :_}, [], [:"$_"]}, {{:_, :_, 7, :_}, [], [:"$$"]}]
          ] do
        assert Enum.sort(Table.select(compressed, match_spec)) ===
                 Enum.sort(Table.select(plain, match_spec))
      end

      assert Table.info(compressed, :memory) < Table.info(plain, :memory) * 2 / 3
      assert Table.info(compressed, :compressed) == true
    end
  end

  test "large objects take less than half, whatever they are made of" do
    for value <- [
          large(1),
          List.duplicate({:user, 17, "Ada"}, 100),
          Enum.to_list(1..200),
          String.duplicate("text ", 200),
          Map.new(1..100, &{&1, "value"})
        ] do
      [plain, compressed] =
        for options <- [[], [:compressed]] do
          table = Table.new(:table, options)
          for i <- 1..2000, do: Table.insert(table, {i, value})
          Table.info(table, :memory)
        end

      assert compressed < plain / 2
    end
  end

  test "small objects, and those that cannot be made smaller, take no more" do
    for value <- [17, "a short text", {1, 2, [3]}, :crypto.strong_rand_bytes(500)] do
      [plain, compressed] =
        for options <- [[], [:compressed]] do
          table = Table.new(:table, options)
          for i <- 1..500, do: Table.insert(table, {i, value})
          Table.info(table, :memory)
        end

      assert compressed == plain
    end
  end

  test "terms of every kind come back as they were" do
    table = Table.new(:table, [:compressed])

    for {term, i} <- Enum.with_index(Terms.numbers() ++ Terms.others()) do
      object = {i, term, large(i), [term | term]}
      Table.insert(table, object)
      assert Table.lookup(table, i) === [object]
      assert Table.lookup_element(table, i, 2) === term
    end
  end

  test "terms as deep and as large as they may be come back as they were" do
    table = Table.new(:table, [:compressed])
    deep = Enum.reduce(1..100_000, [], &{&1, &2})

    for term <- [
          deep,
          Enum.to_list(1..100_000),
          String.duplicate("x", 3_000_000),
          List.to_tuple(Enum.to_list(1..20_000)),
          Map.new(1..3000, &{&1, large(&1)})
        ] do
      Table.insert(table, {:key, term})
      assert Table.lookup(table, :key) === [{:key, term}]
    end
  end

  test "a table that is stored stays alive" do
    inner = Table.new(:inner, heir: :immortal)
    Table.insert(inner, {1, :there})
    outer = Table.new(:outer, [:compressed])
    Table.insert(outer, {:inner, inner, large(1)})
    :erlang.garbage_collect()
    assert [{:inner, ^inner, _}] = Table.lookup(outer, :inner)
    assert Table.lookup(inner, 1) == [{1, :there}]
    Table.delete(inner)
  end

  test "objects are told apart as without compression" do
    for options <- [[], [:compressed]] do
      table = Table.new(:table, [:bag | options])
      objects = for zero <- [0, 0.0, 1, 1.0], do: {:key, zero, large(1)}
      for object <- objects ++ objects, do: Table.insert(table, object)
      assert Table.lookup(table, :key) === objects

      Table.delete_object(table, {:key, 1.0, large(1)})
      assert length(Table.lookup(table, :key)) == 3

      # Whether the zeros are one is the VM's to say.
      Table.insert(table, {:key, -0.0, large(1)})
      same? = :erlang.binary_to_term(:erlang.term_to_binary(-0.0)) === 0.0
      assert length(Table.lookup(table, :key)) == if(same?, do: 3, else: 4)
    end
  end

  test "no object is taken for a compressed one" do
    table = Table.new(:table, [:compressed])

    for {bytes, i} <- Enum.with_index(["", <<0::96>>, <<1::160>>, large(1).text, 17]) do
      object = {i, bytes, :"$blanket_packed"}
      Table.insert(table, object)
      assert Table.lookup(table, i) === [object]
      assert Table.select(table, [{{i, :"$1", :_}, [], [:"$1"]}]) === [bytes]
    end
  end

  test "counters and elements of large objects are updated" do
    for type <- [:set, :ordered_set] do
      table = Table.new(:table, [type, :compressed])
      Table.insert(table, {:a, 1, large(1)})
      assert Table.update_counter(table, :a, 41) == 42
      assert Table.update_counter(table, :a, [{2, 1}, {2, 2}]) == [43, 45]
      assert Table.lookup(table, :a) === [{:a, 45, large(1)}]

      assert Table.update_element(table, :a, [{3, small(2)}, {2, large(2)}])
      assert Table.lookup(table, :a) === [{:a, large(2), small(2)}]
      assert Table.update_element(table, :a, [{2, 7}])
      assert Table.lookup(table, :a) === [{:a, 7, small(2)}]

      assert Table.update_counter(table, :b, 1, {nil, 0, large(3)}) == 1
      assert Table.lookup(table, :b) === [{:b, 1, large(3)}]
      assert Table.update_element(table, :c, {2, large(4)}, {nil, 0, large(5)})
      assert Table.lookup(table, :c) === [{:c, large(4), large(5)}]

      assert_raise ArgumentError, fn -> Table.update_counter(table, :b, {3, 1}) end
      assert_raise ArgumentError, fn -> Table.update_element(table, :b, {4, 1}) end
      assert Table.lookup(table, :b) === [{:b, 1, large(3)}]
    end
  end

  test "match specifications replace and delete large objects" do
    for type <- [:set, :ordered_set, :duplicate_bag] do
      table = Table.new(:table, [type, :compressed])
      Table.insert(table, for(i <- 1..200, do: {i, large(i), 0}))

      grow = [{{:"$1", :"$2", 0}, [{:<, :"$1", 101}], [{{:"$1", :"$2", :"$2"}}]}]
      assert Table.select_replace(table, grow) == 100
      assert Table.lookup(table, 7) === [{7, large(7), large(7)}]

      assert Table.select_replace(table, [
               {{:"$1", :_, :"$2"}, [{:is_map, :"$2"}], [{{:"$1", 0, 0}}]}
             ]) == 100

      assert Table.lookup(table, 7) === [{7, 0, 0}]

      assert Table.select_delete(table, [{{:_, %{id: :"$1"}, :_}, [{:>, :"$1", 150}], [true]}]) ==
               50

      assert Table.match_object(table, {:_, %{id: 150}, :_}) === [{150, large(150), 0}]
      assert Table.select_count(table, [{{:_, %{}, :_}, [], [true]}]) == 50
      assert Table.match_delete(table, {:_, %{name: "user 150"}, :_})
      assert Table.info(table, :size) == 149
    end
  end

  test "traversals, folds, streams and files see the objects" do
    table = Table.new(:table, [:ordered_set, :compressed])
    objects = for i <- 1..500, do: {i, large(i)}
    Table.insert(table, objects)

    assert Table.first_lookup(table) === {1, [{1, large(1)}]}
    assert Table.next(table, 1) == 2
    assert Table.slot(table, 9) === [{10, large(10)}]
    assert Table.foldr(&[&1 | &2], [], table) === objects
    assert Enum.to_list(Table.stream(table)) === objects
    assert Table.lookup_many(table, [3, 4]) === [[{3, large(3)}], [{4, large(4)}]]
    assert Table.fetch(table, 5) === {:ok, {5, large(5)}}

    path = Path.join(System.tmp_dir!(), "blanket_compressed_#{System.pid()}.tab")
    assert Table.tab2file(table, path) == :ok
    assert {:ok, copy} = Table.file2tab(path)
    assert {:ok, reference} = :ets.file2tab(String.to_charlist(path))
    File.rm!(path)

    assert Table.tab2list(copy) === objects
    assert :ets.tab2list(reference) === objects
    assert Table.info(copy, :compressed) and :ets.info(reference, :compressed)
  end
end
