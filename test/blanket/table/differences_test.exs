defmodule Blanket.Table.DifferencesTest do
  # What guides/differences-from-ets.md says. What :ets does wrong is not asked for: it may be mended, and
  # may crash the VM.
  use ExUnit.Case, async: true

  alias Blanket.Table

  @both [:ets, Table]

  defp on_both(fun), do: for(module <- @both, do: fun.(module))

  defp filled(module, options, objects) do
    table = module.new(:differences, options)
    module.insert(table, objects)
    table
  end

  defp fails?(fun) do
    fun.()
    false
  rescue
    ArgumentError -> true
  end

  describe "two worlds" do
    test "a table of one is none of the other" do
      name = :"differences #{System.unique_integer()}"
      table = Table.new(name, [:named_table])
      assert fails?(fn -> :ets.lookup(table, 1) end)
      refute name in :ets.all()
      assert :ets.new(name, [:named_table]) == name
      assert fails?(fn -> Table.lookup(:ets.whereis(name), 1) end)
    end

    test "memory is the system's" do
      filled(Table, [], for(i <- 1..200_000, do: {i, "object #{i}"}))
      table = filled(Table, [], for(i <- 1..200_000, do: {i, "object #{i}"}))
      assert :erlang.memory(:system) > Table.info(table, :memory) * :erlang.system_info(:wordsize)
    end
  end

  describe "what a table is" do
    test "an owner may be missing" do
      parent = self()
      create = fn -> send(parent, {:table, Table.new(:differences, [{:heir, :immortal}])}) end
      {pid, monitor} = spawn_monitor(create)
      assert_receive {:table, table}
      assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}
      assert Table.info(table, :owner) == :none
      assert Table.claim(table) == {:ok, table}
      assert Table.info(table, :owner) == self()
    end

    test "an heir needs no message" do
      assert Table.new(:differences, [{:heir, self()}]) |> Table.info(:heir) == self()
    end

    test "small objects are not compressed" do
      objects = for i <- 1..5000, do: {i, %{a: i, b: "a short text"}}

      [plain, compressed] =
        for options <- [[], [:compressed]], do: filled(Table, options, objects)

      assert Table.info(plain, :memory) == Table.info(compressed, :memory)
    end
  end

  describe "what the numbers are" do
    test "memory counts binaries" do
      [of_ets, of_blanket] =
        on_both(fn module ->
          table = module.new(:differences, [])
          before = module.info(table, :memory)
          module.insert(table, {1, :binary.copy("x", 1_000_000)})
          module.info(table, :memory) - before
        end)

      assert of_ets < 100
      assert of_blanket > 125_000
    end

    test "the binaries of a private table are its owner's" do
      parent = self()

      owner =
        spawn_link(fn ->
          send(parent, {:tables, on_both(&filled(&1, [:private], {1, :binary.copy("x", 1000)}))})
          receive do: (:stop -> :ok)
        end)

      assert_receive {:tables, [of_ets, of_blanket]}
      assert is_list(:ets.info(of_ets, :binary))
      assert fails?(fn -> Table.info(of_blanket, :binary) end)
      send(owner, :stop)
    end

    test "slots are 4096, or as many as objects" do
      for count <- [0, 10, 20_000], {type, slots} <- [set: 4096, bag: 4096, ordered_set: count] do
        table = filled(Table, [type], for(i <- 1..count//1, do: {i}))
        assert Table.slot(table, slots) == :"$end_of_table"
        assert slots == 0 or is_list(Table.slot(table, slots - 1))
        assert fails?(fn -> Table.slot(table, slots + 1) end)
      end
    end
  end

  describe "what calls do" do
    test "what is deleted from a fixed table is gone" do
      [of_ets, of_blanket] =
        on_both(fn module ->
          table = filled(module, [], for(i <- 1..10_000, do: {i, i}))
          full = module.info(table, :memory)
          module.safe_fixtable(table, true)
          for i <- 1..10_000, do: module.delete(table, i)
          module.info(table, :memory) / full
        end)

      assert of_ets > 0.9
      assert of_blanket < 0.5
    end

    test "a fixed table knows the next key of any" do
      assert on_both(fn module ->
               table = filled(module, [], [{1}])
               module.safe_fixtable(table, true)
               never_there? = fails?(fn -> module.next(table, 2) end)
               module.safe_fixtable(table, false)
               {never_there?, fails?(fn -> module.next(table, 2) end)}
             end) == [{true, true}, {false, true}]
    end

    test "lists are inserted from the first to the last" do
      list = for i <- 1..100, do: {1, i}
      assert Table.lookup(filled(Table, [:set], list), 1) == [{1, 100}]
      assert Table.lookup(filled(Table, [:ordered_set], list), 1) == [{1, 100}]
      assert Table.lookup(filled(Table, [:bag], list), 1) == list
      assert Table.lookup(filled(Table, [:duplicate_bag], list), 1) == list
    end

    test "a guard that leaves one key is a look-up" do
      [of_ets, of_blanket] =
        on_both(fn module ->
          table = filled(module, [:ordered_set], for(i <- 1..3, do: {i, i}))
          spec = [{{:"$1", :_}, [{:==, :"$1", 3}], [:"$1"]}]
          {[3], continuation} = module.select(table, spec, 1)
          {continuation == :"$end_of_table", module.select(continuation)}
        end)

      assert of_ets == {false, :"$end_of_table"}
      assert of_blanket == {true, :"$end_of_table"}
    end

    test "query handles name their module" do
      text = Table.new(:differences, []) |> Table.table() |> :qlc.info() |> to_string()
      assert text =~ "'Elixir.Blanket.Table':table("
    end
  end

  describe "where :ets is wrong" do
    test "clauses for keys that begin with 1 and with 1.0" do
      table = filled(Table, [:ordered_set], [{{1, 3}}, {{1.0, 5}}])
      spec = [{{{1, 3}}, [], [:"$_"]}, {{{1.0, 5}}, [], [:"$_"]}]
      assert Table.select(table, spec) == [{{1, 3}}, {{1.0, 5}}]
    end

    test "a map in the key of a pattern" do
      for type <- [:set, :ordered_set] do
        table = filled(Table, [type], {%{a: 1, b: 2}})
        assert Table.match_object(table, {%{a: 1}}) == [{%{a: 1, b: 2}}]
      end
    end

    test "bodies that skip the first use of a variable, or have one for a key" do
      for type <- [:set, :ordered_set, :bag, :duplicate_bag],
          {body, result} <- [
            {{{:"$1", {:andalso, false, :"$1"}}}, {1.5, false}},
            {{{:"$1", {:andalso, :"$2", :"$1", :"$1"}}}, {1.5, :EXIT}},
            {{{:"$1", {:orelse, true, :"$1"}, :"$1"}}, {1.5, true, 1.5}},
            {%{:"$1" => {:+, :"$1", 1}}, %{1.5 => 2.5}}
          ] do
        table = filled(Table, [type], {1.5, 0})
        results = for _ <- 1..50, do: Table.select(table, [{{:"$1", :"$2"}, [], [body]}])
        :erlang.garbage_collect()
        assert Enum.uniq(results) == [[result]]
      end
    end

    test "a large counter that a list counts again and again" do
      large = Integer.pow(10, 21)

      for type <- [:set, :ordered_set] do
        table = filled(Table, [type], {:key, 0})
        counts = Table.update_counter(table, :key, [{2, large} | List.duplicate({2, 1}, 100)])
        assert counts == Enum.to_list(large..(large + 100))
        assert Table.tab2list(table) == [{:key, large + 100}]
      end
    end

    test "a default that has no key" do
      for type <- [:set, :ordered_set] do
        table = Table.new(:differences, [type])
        assert fails?(fn -> Table.update_counter(table, 1, 1, {}) end)
        assert Table.tab2list(table) == []
      end
    end

    test "take from a fixed bag" do
      table = filled(Table, [:bag], [{1, 1}, {1, 2}])
      Table.safe_fixtable(table, true)
      assert Table.take(table, 1) == [{1, 1}, {1, 2}]
      assert Table.take(table, 1) == []
      assert Table.info(table, :size) == 0
    end

    test "a protection that was set after all objects were deleted" do
      table = filled(Table, [:protected], for(i <- 1..50_000, do: {i, i}))
      Table.delete_all_objects(table)
      Table.setopts(table, {:protection, :public})
      Table.insert(table, {1, 1})
      assert Table.info(table, :protection) == :public
      assert Task.await(Task.async(fn -> Table.insert(table, {2, 2}) end))
    end
  end
end
