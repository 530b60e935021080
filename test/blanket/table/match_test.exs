defmodule Blanket.Table.MatchTest do
  use ExUnit.Case, async: true

  alias Blanket.Table

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  defp filled(type, objects, options \\ []) do
    table = Table.new(:match_test, [type, :public | options])
    Table.insert(table, objects)
    table
  end

  defp all_portions(:"$end_of_table"), do: []

  defp all_portions({results, continuation}),
    do: [results | all_portions(Table.select(continuation))]

  defp elsewhere(fun), do: fun |> Task.async() |> Task.await(:infinity)

  describe "in every type of table" do
    for type <- @types do
      test "a #{type} is searched whole, and no object twice" do
        table = filled(unquote(type), for(i <- 1..10_000, do: {i, rem(i, 7), "#{i}"}))

        assert table |> Table.match({:"$1", 3, :_}) |> List.flatten() |> Enum.sort() ==
                 Enum.to_list(3..10_000//7)

        assert Table.select_count(table, [{{:_, 3, :_}, [], [true]}]) == 1429
        assert table |> Table.match_object(:_) |> Enum.sort() == Enum.sort(Table.tab2list(table))
      end

      test "the portions of a #{type} are full, and make up the whole" do
        table = filled(unquote(type), for(i <- 1..1000, do: {i, rem(i, 2)}))
        portions = table |> Table.select([{{:"$1", 1}, [], [:"$1"]}], 7) |> all_portions()
        {full, [last]} = Enum.split(portions, -1)
        assert Enum.all?(full, &(length(&1) == 7))
        assert length(last) in 1..7
        assert portions |> Enum.concat() |> Enum.sort() == Enum.to_list(1..999//2)
      end

      test "a bound key of a #{type} is found" do
        table = filled(unquote(type), for(i <- 1..100, do: {{:user, i}, i}))
        assert Table.match_object(table, {{:user, 7}, :_}) == [{{:user, 7}, 7}]

        assert Table.match_object(table, {{:user, 7}, :_}, 1) ==
                 {[{{:user, 7}, 7}], :"$end_of_table"}

        assert Table.match_object(table, {{:user, 101}, :_}) == []
        spec = for key <- [7, 3, 7, 200], do: {{{:user, key}, :"$1"}, [], [:"$1"]}
        assert table |> Table.select(spec) |> Enum.sort() == [3, 7]
      end

      test "match_delete and select_delete delete from a #{type} what matches" do
        table = filled(unquote(type), for(i <- 1..5000, do: {i, rem(i, 2), "#{i}"}))
        assert Table.match_delete(table, {:_, 0, :_})
        assert Table.info(table, :size) == 2500

        assert Table.select_delete(table, [{{:"$1", :_, :_}, [{:>, :"$1", 1000}], [true]}]) ==
                 2000

        assert table |> Table.match({:"$1", :_, :_}) |> List.flatten() |> Enum.sort() ==
                 Enum.to_list(1..999//2)

        assert Table.select_delete(table, [{:_, [], [true]}]) == 500
        assert Table.tab2list(table) == []
        assert Table.info(table, :size) == 0
      end
    end
  end

  describe "order" do
    test "an ordered_set is searched in the order of its keys, and back" do
      table = filled(:ordered_set, for(i <- Enum.shuffle(1..3000), do: {i}))
      spec = [{{:"$1"}, [{:>, :"$1", 1000}], [:"$1"]}]
      assert Table.select(table, spec) == Enum.to_list(1001..3000)
      assert Table.select_reverse(table, spec) == Enum.to_list(3000..1001//-1)

      assert table |> Table.select(spec, 300) |> all_portions() |> Enum.concat() ==
               Enum.to_list(1001..3000)

      assert table |> Table.select_reverse(spec, 300) |> all_portions() |> Enum.concat() ==
               Enum.to_list(3000..1001//-1)
    end

    test "several bound keys of an ordered_set come in order too" do
      table = filled(:ordered_set, for(i <- 1..10, do: {i}))
      spec = for key <- [5, 2, 9], do: {{key}, [], [:"$_"]}
      assert Table.select(table, spec) == [{2}, {5}, {9}]
      assert Table.select_reverse(table, spec) == [{9}, {5}, {2}]
      assert {[{2}, {5}], continuation} = Table.select(table, spec, 2)
      assert {[{9}], :"$end_of_table"} = Table.select(continuation)
    end

    for type <- [:bag, :duplicate_bag], count <- [3, 300] do
      test "#{count} objects of a key of a #{type} come in the order of their insertion" do
        objects = for i <- 1..unquote(count), do: {:key, i}
        table = filled(unquote(type), [{:other, 1} | objects])
        assert Table.match_object(table, {:key, :_}) == objects
        assert table |> Table.match_object(:_) |> List.delete({:other, 1}) == objects

        assert table
               |> Table.match_object({:key, :_}, 2)
               |> all_portions()
               |> Enum.concat() == objects
      end
    end
  end

  describe "where the keys are known" do
    # What a call takes of the time of its process, at least: the machine may be busy.
    defp reductions(fun) do
      Enum.min(
        for _ <- 1..20 do
          {:reductions, before} = Process.info(self(), :reductions)
          fun.()
          {:reductions, behind} = Process.info(self(), :reductions)
          behind - before
        end
      )
    end

    setup do
      keys = for user <- 1..1000, order <- 1..200, do: {:user, user, order}
      table = filled(:ordered_set, for(key <- keys, do: {key, :value}))
      whole = reductions(fn -> Table.select_count(table, [{:_, [], [true]}]) end)
      %{table: table, whole: whole}
    end

    for {what, key, guards, count} <- [
          {"a key", {:user, 700, 100}, [], 1},
          {"the beginning of a key", {:user, 700, :_}, [], 200},
          {"the beginning of a key and a guard", {:user, 700, :"$1"}, [{:>, :"$1", 150}], 50},
          {"guards on the beginning", {:user, :"$1", :_}, [{:"=<", 998, :"$1"}], 600},
          {"a guard that is equal to the beginning", {:user, :"$1", :_}, [{:==, :"$1", 2}], 200},
          {"guards on the key", :"$1",
           [{:and, {:>=, :"$1", {{:user, 5, 1}}}, {:<, :"$1", {:const, {:user, 5, 9}}}}], 8},
          {"guards that no key fits", :"$1", [{:<, :"$1", 1}, {:>, :"$1", 2}], 0}
        ] do
      test "only what #{what} leaves is looked at", %{table: table, whole: whole} do
        spec = [{{unquote(Macro.escape(key)), :_}, unquote(Macro.escape(guards)), [true]}]
        count = unquote(count)

        for {function, args, expected} <- [
              {:select_count, [spec], count},
              {:select, [spec], List.duplicate(true, count)},
              {:select_reverse, [spec], List.duplicate(true, count)},
              {:select_replace, [put_in(spec, [Access.at(0), Access.elem(2)], [:"$_"])], count}
            ] do
          assert apply(Table, function, [table | args]) == expected
          assert reductions(fn -> apply(Table, function, [table | args]) end) * 20 < whole
        end
      end
    end

    test "a deletion looks at nothing else", %{table: table, whole: whole} do
      used =
        reductions(fn ->
          user = Table.info(table, :size) |> div(200)
          spec = [{{{:user, user, :_}, :_}, [], [true]}]
          assert Table.select_delete(table, spec) == 200
        end)

      assert used * 20 < whole
      assert Table.info(table, :size) == 196_000
    end

    test "a search in portions begins and goes on there", %{table: table, whole: whole} do
      spec = [{{{:user, :"$1", :"$2"}, :_}, [{:>, :"$1", 998}], [{{:"$1", :"$2"}}]}]

      assert reductions(fn -> Table.select(table, spec, 10) end) * 20 < whole
      {_, continuation} = Table.select(table, spec, 10)
      assert {[{999, 11} | _], _} = Table.select(continuation)
      assert reductions(fn -> Table.select(continuation) end) * 20 < whole
      assert {[{1000, 200}, {1000, 199}], _} = Table.select_reverse(table, spec, 2)
      assert reductions(fn -> Table.select_reverse(table, spec, 2) end) * 20 < whole
    end

    test "a guard that says which key is looked up in every type" do
      for type <- @types do
        table = filled(type, for(i <- 1..100_000, do: {i, i}))
        whole = reductions(fn -> Table.select_count(table, [{:_, [], [true]}]) end)
        spec = [{{:"$1", :"$2"}, [{:"=:=", :"$1", 77}], [:"$2"]}]
        assert Table.select(table, spec) == [77]
        assert reductions(fn -> Table.select(table, spec) end) * 20 < whole
      end
    end

    test "clauses reach several ranges, in order and each object once" do
      table = filled(:ordered_set, for(i <- 1..1000, do: {i, i}))
      clause = fn low, high -> {{:"$1", :_}, [{:>=, :"$1", low}, {:<, :"$1", high}], [:"$1"]} end
      spec = [clause.(500, 510), clause.(20, 30), clause.(25, 40), clause.(990, 2000)]
      expected = Enum.concat([20..39, 500..509, 990..1000])
      assert Table.select(table, spec) == expected
      assert Table.select_reverse(table, spec) == Enum.reverse(expected)
      assert table |> Table.select(spec, 3) |> all_portions() |> Enum.concat() == expected

      assert Table.select_count(table, [
               {{7, :_}, [], [true]} | [{{:"$1", :_}, [{:<, :"$1", 9}], [true]}]
             ]) == 8
    end
  end

  describe "keys with many objects" do
    test "are searched, counted and deleted in part" do
      table = filled(:bag, for(key <- [:a, :b, :c], i <- 1..1000, do: {key, i}))
      spec = [{{:b, :"$1"}, [{:>, :"$1", 500}], [true]}]
      assert Table.select_count(table, spec) == 500
      assert Table.select_delete(table, spec) == 500
      assert Table.info(table, :size) == 2500
      assert Table.lookup(table, :b) == for(i <- 1..500, do: {:b, i})
      assert Table.select_delete(table, [{{:_, :"$1"}, [{:>, :"$1", 10}], [true]}]) == 2470
      assert Table.info(table, :size) == 30
    end

    test "that are equal are deleted and counted each" do
      table = filled(:duplicate_bag, for(_ <- 1..100, i <- 1..3, do: {:key, i}))
      assert Table.select_delete(table, [{{:key, 2}, [], [true]}]) == 100
      assert Table.info(table, :size) == 200
    end

    test "are replaced in their places" do
      table = filled(:duplicate_bag, for(i <- 1..500, do: {:key, i}))
      spec = [{{:"$1", :"$2"}, [{:<, :"$2", 400}], [{{:"$1", {:+, :"$2", 1}}}]}]
      assert Table.select_replace(table, spec) == 399

      assert Table.lookup(table, :key) ==
               for(i <- 1..500, do: {:key, if(i < 400, do: i + 1, else: i)})

      assert Table.info(table, :size) == 500
    end
  end

  describe "patterns" do
    test "a map matches those that have more keys, as the key too" do
      table = filled(:set, [{%{a: 1}, 1}, {%{a: 1, b: 2}, 2}, {%{a: 2}, 3}, {%{}, 4}])
      assert table |> Table.match({%{a: 1}, :"$1"}) |> Enum.sort() == [[1], [2]]
      assert table |> Table.match({%{a: :"$2"}, :"$1"}) |> Enum.sort() == [[1, 1], [2, 1], [3, 2]]
      assert table |> Table.match({%{}, :"$1"}) |> length() == 4
    end

    test "1 is not 1.0, even where they are one key" do
      table = filled(:ordered_set, [{1.0, :float}, {2, :integer}])
      assert Table.match_object(table, {1, :_}) == []
      assert Table.match_object(table, {1.0, :_}) == [{1.0, :float}]
      assert Table.match_object(table, {2.0, :_}) == []
      assert Table.select(table, [{{:"$1", :_}, [{:==, :"$1", 1}], [:"$1"]}]) == [1.0]
      assert Table.select(table, [{{:"$1", :_}, [{:"=:=", :"$1", 1}], [:"$1"]}]) == []
    end

    test "terms of any depth and length" do
      deep = Enum.reduce(1..1000, :"$1", fn _, term -> {term} end)
      deep_value = Enum.reduce(1..1000, 42, fn _, term -> {term} end)
      table = filled(:set, [{1, deep_value}, {2, Enum.to_list(1..100_000)}])
      assert Table.match(table, {:_, deep}) == [[42]]
      assert Table.match(table, {:"$1", Enum.to_list(1..99_999) ++ [:"$2"]}) == [[2, 100_000]]
      reference = :ets.new(:reference, [])
      :ets.insert(reference, Table.tab2list(table))
      spec = [{{1, :"$1"}, [], [deep]}]
      assert Table.select(table, spec) == :ets.select(reference, spec)
    end
  end

  describe "what is left to OTP" do
    setup do
      %{table: filled(:ordered_set, for(i <- 1..200, do: {i, rem(i, 2)}))}
    end

    @own_node {:==, {:node}, {:const, :nonode@nohost}}

    test "answers as all else", %{table: table} do
      spec = [
        {{:"$1", 0}, [@own_node, {:>, :"$1", 100}], [{{:"$1", {:binary_part, "abc", 0, 1}}}]}
      ]

      expected = for i <- 102..200//2, do: {i, "a"}
      assert Table.select(table, spec) == expected
      assert Table.select_reverse(table, spec) == Enum.reverse(expected)
      assert table |> Table.select(spec, 7) |> all_portions() |> Enum.concat() == expected

      assert table |> Table.select_reverse(spec, 7) |> all_portions() |> Enum.concat() ==
               Enum.reverse(expected)

      assert Table.select_count(table, [{{:_, 0}, [@own_node], [true]}]) == 100
    end

    test "changes as all else", %{table: table} do
      assert Table.select_replace(table, [{{:"$1", 0}, [@own_node], [{{:"$1", :even}}]}]) == 100
      assert Table.lookup(table, 2) == [{2, :even}]
      assert Table.select_delete(table, [{{:_, :even}, [@own_node], [true]}]) == 100
      assert Table.info(table, :size) == 100

      assert_raise ArgumentError, fn ->
        Table.select_replace(table, [{{:"$1", :"$2"}, [@own_node], [{{:"$2", :"$1"}}]}])
      end
    end

    test "goes on from stored continuations", %{table: table} do
      spec = [{{:"$1", 1}, [@own_node], [:"$1"]}]
      {[1, 3], continuation} = Table.select(table, spec, 2)
      stored = :erlang.term_to_binary(continuation)
      restored = Table.repair_continuation(:erlang.binary_to_term(stored), spec)
      assert {[5, 7], _} = Table.select(restored)
    end
  end

  describe "continuations" do
    setup do
      %{table: filled(:ordered_set, for(i <- 1..100, do: {i})), spec: [{{:"$1"}, [], [:"$1"]}]}
    end

    test "go on in another process", %{table: table, spec: spec} do
      {_, continuation} = Table.select(table, spec, 10)
      assert {results, _} = elsewhere(fn -> Table.select(continuation) end)
      assert results == Enum.to_list(11..20)
    end

    test "follow a full portion at the end, as in :ets, unless it is that of a key" do
      for module <- [:ets, Table], type <- [:set, :ordered_set] do
        table = module.new(:match_test, [type])
        module.insert(table, for(i <- 1..3, do: {{i, :key}}))
        assert {[_, _, _], continuation} = module.match_object(table, :_, 3)
        assert continuation != :"$end_of_table" or {module, type} == {:ets, :set}
        assert module.match_object(continuation) == :"$end_of_table"
        assert module.match_object(table, {{2, :key}}, 1) == {[{{2, :key}}], :"$end_of_table"}
      end

      for module <- [:ets, Table] do
        table = module.new(:match_test, [:ordered_set])
        module.insert(table, for(i <- 1..3, do: {{:key, i}}))
        assert {[_, _, _], continuation} = module.match_object(table, {{:key, :_}}, 3)
        assert continuation != :"$end_of_table"
        assert module.match_object(continuation) == :"$end_of_table"
      end
    end

    test "may be used again", %{table: table, spec: spec} do
      {_, continuation} = Table.select(table, spec, 10)
      assert Table.select(continuation) == Table.select(continuation)
    end

    test "go on behind a key that is gone", %{table: table, spec: spec} do
      {_, continuation} = Table.select(table, spec, 10)
      for i <- 5..15, do: Table.delete(table, i)
      assert {[16, 17 | _], _} = Table.select(continuation)
    end

    test "are repaired after they were stored", %{table: table, spec: spec} do
      test = self()

      # The process takes the match specification with it.
      stored =
        elsewhere(fn ->
          {_, continuation} = Table.select(table, spec, 10)
          send(test, Table.repair_continuation(continuation, spec) == continuation)
          :erlang.term_to_binary(continuation)
        end)

      assert_received true
      restored = :erlang.binary_to_term(stored)
      assert {[11 | _], _} = restored |> Table.repair_continuation(spec) |> Table.select()
      assert Table.repair_continuation(:"$end_of_table", spec) == :"$end_of_table"
    end

    test "that were tampered with are refused", %{table: table, spec: spec} do
      {_, continuation} = Table.select(table, spec, 10)
      other_keypos = filled(:ordered_set, [{1, 2}, {2, 3}], keypos: 2)
      {_, other} = Table.select(other_keypos, [{{:_, :"$1"}, [], [:"$1"]}], 1)

      for place <- 0..5, wrong <- [:wrong, 0, -1, make_ref(), {}, [1 | 2]], place != 1 do
        assert_raise ArgumentError, ~r/continuation/, fn ->
          Table.select(put_elem(continuation, place, wrong))
        end
      end

      for tampered <- [
            put_elem(continuation, 3, elem(other, 3)),
            {},
            :wrong,
            Tuple.insert_at(continuation, tuple_size(continuation), 1)
          ] do
        assert_raise ArgumentError, fn -> Table.select(tampered) end
      end
    end

    test "of a table that is gone, or closed, are refused", %{spec: spec} do
      table = filled(:set, for(i <- 1..100, do: {i}))
      {_, continuation} = Table.select(table, spec, 10)
      Table.setopts(table, {:protection, :private})

      message =
        elsewhere(fn ->
          Exception.message(assert_raise(ArgumentError, fn -> Table.select(continuation) end))
        end)

      assert message =~ "the table is private"
      Table.delete(table)
      assert_raise ArgumentError, ~r/does not refer/, fn -> Table.select(continuation) end
    end
  end

  describe "errors" do
    test "name the argument" do
      table = filled(:set, [{1, 2}])
      bag = filled(:bag, [{1, 2}])
      all = [{:_, [], [true]}]

      for {message, call} <- [
            {~r/2nd argument: not a valid match spec/, fn -> Table.select(table, :all) end},
            {~r/2nd argument: not a valid match spec/,
             fn -> Table.select(table, [{:_, [], [:"$1"]}]) end},
            {~r/2nd argument: not a valid match pattern/, fn -> Table.match(table, %{_: 1}) end},
            {~r/3rd argument: out of range/, fn -> Table.select(table, all, 0) end},
            {~r/3rd argument: not an integer/, fn -> Table.match(table, :_, :all) end},
            {~r/1st argument: not possible on a bag/,
             fn -> Table.select_replace(bag, [{:_, [], [:"$_"]}]) end},
            {~r/2nd argument: the match specification may change the key/,
             fn -> Table.select_replace(table, [{{:"$1", :"$2"}, [], [{{:"$2", :"$1"}}]}]) end},
            {~r/1st argument: not a valid continuation/, fn -> Table.select(:more) end},
            {~r/1st argument: .* does not refer/, fn -> Table.select_count(:no_table, all) end}
          ] do
        assert_raise ArgumentError, message, call
      end

      assert Table.tab2list(table) == [{1, 2}]
    end

    test "access is checked by every function" do
      all = [{:_, [], [true]}]
      same = [{:_, [], [:"$_"]}]

      reads = [
        &Table.match(&1, :_),
        &Table.match(&1, :_, 1),
        &Table.match_object(&1, :_),
        &Table.match_object(&1, :_, 1),
        &Table.select(&1, all),
        &Table.select(&1, all, 1),
        &Table.select_reverse(&1, all),
        &Table.select_reverse(&1, all, 1),
        &Table.select_count(&1, all)
      ]

      writes = [
        &Table.match_delete(&1, :_),
        &Table.select_delete(&1, all),
        &Table.select_replace(&1, same)
      ]

      for {protection, allowed, refused} <- [
            {:private, [], reads ++ writes},
            {:protected, reads, writes},
            {:public, reads ++ writes, []}
          ] do
        table = Table.new(:access, [protection])
        Table.insert(table, {1})
        elsewhere(fn -> for call <- allowed, do: call.(table) end)

        for call <- refused do
          assert elsewhere(fn -> catch_error(call.(table)) end) == :badarg
        end
      end
    end
  end

  describe "while others write" do
    for type <- [:set, :ordered_set] do
      test "select_replace compares and swaps in a #{type}: no increment is lost" do
        table = filled(unquote(type), [{:count, 0, "text"}, {:flat, 0}])

        1..4
        |> Enum.map(fn _ -> Task.async(fn -> for _ <- 1..2000, do: increment(table) end) end)
        |> Enum.each(&Task.await(&1, :infinity))

        assert Table.tab2list(table) |> Enum.sort() == [{:flat, 8000}, {:count, 8000, "text"}]
      end

      test "objects that stay in a #{type} are found exactly once, whatever comes and goes" do
        staying = for i <- 1..2000, do: {{:stays, i}, i}
        table = filled(unquote(type), staying)
        writer = Task.async(fn -> come_and_go(table, 0) end)

        for _ <- 1..50 do
          found = Table.select(table, [{{{:stays, :"$1"}, :_}, [], [:"$1"]}])
          assert Enum.sort(found) == Enum.to_list(1..2000)

          portions =
            table |> Table.select([{{{:stays, :"$1"}, :_}, [], [:"$1"]}], 50) |> all_portions()

          assert portions |> Enum.concat() |> Enum.sort() == Enum.to_list(1..2000)
          Table.select_delete(table, [{{{:goes, :_}, :_}, [], [true]}])
        end

        Task.shutdown(writer, :brutal_kill)
        assert Table.match(table, {{:stays, :"$1"}, :_}) |> length() == 2000
      end
    end

    test "a deletion that is killed has deleted some objects whole and left the others" do
      for round <- 1..20 do
        table = filled(:set, for(i <- 1..20_000, do: {i, "#{i}", :x}))

        {deleter, monitor} =
          spawn_monitor(fn ->
            Table.select_delete(table, [{{:"$1", :_, :x}, [{:>, :"$1", 10}], [true]}])
          end)

        for _ <- 1..round, do: :erlang.yield()
        Process.exit(deleter, :kill)
        assert_receive {:DOWN, ^monitor, _, _, _}
        left = Table.tab2list(table)
        assert length(left) == Table.info(table, :size)
        assert Enum.all?(left, fn {i, text, :x} -> text == "#{i}" end)
        assert Enum.all?(1..10, &Table.member(table, &1))
        Table.delete(table)
      end
    end
  end

  # Both objects count up by one, one by compare-and-swap, the other by an expression.
  defp increment(table) do
    [{_, count, _}] = Table.lookup(table, :count)
    swap = [{{:count, count, :"$1"}, [], [{{:count, count + 1, :"$1"}}]}]

    case Table.select_replace(table, swap) do
      1 -> 1 = Table.select_replace(table, [{{:flat, :"$1"}, [], [{{:flat, {:+, :"$1", 1}}}]}])
      0 -> increment(table)
    end
  end

  defp come_and_go(table, i) do
    Table.insert(table, for(j <- i..(i + 200), do: {{:goes, j}, j}))
    for j <- i..(i + 100), do: Table.delete(table, {:goes, j})
    come_and_go(table, rem(i + 100, 5000))
  end
end
