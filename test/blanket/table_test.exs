defmodule Blanket.TableTest do
  use ExUnit.Case, async: true

  # What a process's exit brings about, its monitors may see a moment before.
  import Blanket.Test.Eventually

  alias Blanket.Table

  doctest Blanket.Table

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  # Runs `fun` in a process of its own and answers what it returned or raised.
  defp elsewhere(fun) do
    Task.async(fn ->
      try do
        fun.()
      catch
        :error, reason -> {:raised, reason}
      end
    end)
    |> Task.await()
  end

  defp message(fun), do: assert_raise(ArgumentError, fun) |> Exception.message()

  defp dead_process do
    {pid, monitor} = spawn_monitor(fn -> :ok end)
    assert_receive {:DOWN, ^monitor, :process, ^pid, _}
    pid
  end

  for type <- @types do
    describe "any table, such as a #{type}," do
      @describetag type: type

      test "gives back what was inserted, by key", %{type: type} do
        table = Table.new(:table, [type])
        assert Table.insert(table, {:a, 1}) == true
        assert Table.insert(table, [{:b, 2}, {:c, 3}]) == true
        assert Table.insert(table, []) == true

        assert Table.lookup(table, :b) == [{:b, 2}]
        assert Table.lookup(table, :d) == []
        assert Table.member(table, :c) == true
        assert Table.member(table, :d) == false
        assert Enum.sort(Table.tab2list(table)) == [{:a, 1}, {:b, 2}, {:c, 3}]
        assert Table.info(table, :size) == 3
      end

      test "forgets what was deleted", %{type: type} do
        table = Table.new(:table, [type])
        Table.insert(table, for(i <- 1..100, do: {i, i}))

        assert Table.delete(table, 1) == true
        assert Table.delete(table, 1) == true
        assert Table.delete_object(table, {2, 2}) == true
        assert Table.delete_object(table, {3, :other}) == true
        assert Table.take(table, 4) == [{4, 4}]
        assert Table.take(table, 4) == []

        assert Enum.sort(Table.tab2list(table)) == [{3, 3} | for(i <- 5..100, do: {i, i})]
        assert Table.delete_all_objects(table) == true
        assert Table.tab2list(table) == []
        assert Table.first(table) == :"$end_of_table"
        assert Table.info(table, :size) == 0
      end

      test "is walked from end to end", %{type: type} do
        table = Table.new(:table, [type])
        Table.insert(table, for(i <- 1..1000, do: {i, i}))

        assert table |> walk(:first, :next) |> Enum.sort() == Enum.to_list(1..1000)
        assert table |> walk(:last, :prev) |> Enum.sort() == Enum.to_list(1..1000)
      end

      test "inserts new objects only", %{type: type} do
        table = Table.new(:table, [type])
        assert Table.insert_new(table, {:a, 1}) == true
        assert Table.insert_new(table, {:a, 2}) == false
        assert Table.insert_new(table, [{:b, 1}, {:a, 2}, {:c, 1}]) == false
        assert Table.insert_new(table, [{:b, 1}, {:c, 1}]) == true
        assert Table.insert_new(table, []) == true
        assert Enum.sort(Table.tab2list(table)) == [{:a, 1}, {:b, 1}, {:c, 1}]
      end

      test "takes the objects of a long list one after the other", %{type: type} do
        # Of immediates, of words and of what is shared with processes: they live in different places.
        values = [1, 2.5, :binary.copy("x", 100), {3}, fn -> :shared end]

        for one <- values, two <- values, three <- values do
          objects =
            for(i <- 1..40, do: {i, i}) ++ for(value <- [one, two, three], do: {7.5, value})

          table = Table.new(:table, [type])
          twin = :ets.new(:table, [type])
          Table.insert(table, objects)
          for object <- objects, do: :ets.insert(twin, object)
          assert Table.lookup(table, 7.5) === :ets.lookup(twin, 7.5)
          Table.delete(table)
        end
      end

      test "finds its key where keypos says", %{type: type} do
        table = Table.new(:table, [type, keypos: 3])
        Table.insert(table, {1, 2, :key})
        assert Table.lookup(table, :key) == [{1, 2, :key}]
        assert Table.member(table, 1) == false
        assert Table.lookup_element(table, :key, 2) in [2, [2]]
        assert_raise ArgumentError, fn -> Table.insert(table, {1, 2}) end
        assert_raise ArgumentError, fn -> Table.insert(table, [{1, 2, 3}, {1, 2}]) end
        assert Table.tab2list(table) == [{1, 2, :key}]
      end

      test "inserts nothing of a list with a bad object", %{type: type} do
        table = Table.new(:table, [type])

        for bad <- [[{:a, 1}, :b], [{:a, 1}, {}], [{:a, 1} | {:b, 1}]] do
          assert_raise ArgumentError, fn -> Table.insert(table, bad) end
          assert_raise ArgumentError, fn -> Table.insert_new(table, bad) end
        end

        assert Table.tab2list(table) == []
      end

      test "keeps terms of every kind", %{type: type} do
        table = Table.new(:table, [type])
        port = Port.open({:spawn, "cat"}, [])
        binary = String.duplicate("a long binary, shared and not copied", 10)

        terms = [
          1.5,
          -1,
          Bitwise.bsl(1, 200),
          self(),
          make_ref(),
          port,
          fn x -> {x, binary} end,
          &Enum.map/2,
          binary,
          binary_part(binary, 3, 70),
          <<5::3>>,
          :"привет, 世界",
          [1, [2 | 3]],
          %{a: %{1 => 1.0, 1.0 => 1}},
          {{}, {nil, []}},
          table
        ]

        Table.insert(table, for(term <- terms, do: {term, term}))
        for term <- terms, do: assert(Table.lookup(table, term) === [{term, term}])
        assert Table.info(table, :size) == length(terms)
        Port.close(port)
      end
    end
  end

  defp walk(table, first, next) do
    apply(Table, first, [table])
    |> Stream.iterate(&apply(Table, next, [table, &1]))
    |> Enum.take_while(&(&1 != :"$end_of_table"))
  end

  describe "keys" do
    test "match in hash tables, and compare equal in an ordered_set" do
      for type <- [:set, :bag, :duplicate_bag] do
        table = Table.new(:table, [type])
        Table.insert(table, [{1, :integer}, {1.0, :float}])
        assert Table.lookup(table, 1) == [{1, :integer}]
        assert Table.lookup(table, 1.0) == [{1.0, :float}]
      end

      table = Table.new(:table, [:ordered_set])
      Table.insert(table, {1, :integer})
      assert Table.lookup(table, 1.0) === [{1, :integer}]
      assert Table.insert_new(table, {1.0, :float}) == false
      Table.insert(table, {1.0, :float})
      assert Table.tab2list(table) === [{1.0, :float}]
    end

    test "of an ordered_set are stepped through in term order, from keys that are not there too" do
      table = Table.new(:table, [:ordered_set])
      keys = [-1, 0.5, 2, :a, {}, {1}, {0, 0}, %{}, [], [0], "", "a", "b"]
      Table.insert(table, for(key <- Enum.shuffle(keys), do: {key}))

      assert walk(table, :first, :next) == keys
      assert walk(table, :last, :prev) == Enum.reverse(keys)
      assert Table.next(table, 1) == 2
      assert Table.prev(table, 1) == 0.5
      assert Table.next(table, "c") == :"$end_of_table"
      assert Table.prev(table, -2) == :"$end_of_table"
    end
  end

  describe "a bag" do
    test "holds an object once, in the order of insertion" do
      table = Table.new(:table, [:bag])
      Table.insert(table, [{1, :a}, {1, :b}, {1, :a}, {1, :c}])
      Table.insert(table, {1, :b})
      assert Table.lookup(table, 1) == [{1, :a}, {1, :b}, {1, :c}]
      Table.delete_object(table, {1, :a})
      Table.insert(table, {1, :a})
      assert Table.lookup(table, 1) == [{1, :b}, {1, :c}, {1, :a}]
      assert Table.lookup_element(table, 1, 2) == [:b, :c, :a]
      assert Table.take(table, 1) == [{1, :b}, {1, :c}, {1, :a}]
    end

    test "tells 1 from 1.0 in its objects" do
      table = Table.new(:table, [:bag])
      Table.insert(table, [{:a, 1}, {:a, 1.0}])
      assert Table.lookup(table, :a) === [{:a, 1}, {:a, 1.0}]
      Table.delete_object(table, {:a, 1.0})
      assert Table.lookup(table, :a) === [{:a, 1}]
    end
  end

  test "a duplicate_bag holds an object as often as it was inserted" do
    table = Table.new(:table, [:duplicate_bag])
    Table.insert(table, [{1, :a}, {1, :b}, {1, :a}])
    assert Table.lookup(table, 1) == [{1, :a}, {1, :b}, {1, :a}]
    Table.delete_object(table, {1, :a})
    assert Table.lookup(table, 1) == [{1, :b}]
  end

  for type <- [:bag, :duplicate_bag] do
    test "a #{type} takes thousands of objects under one key" do
      table = Table.new(:table, [unquote(type)])
      objects = for i <- 1..20_000, do: {:key, i}
      for object <- objects, do: Table.insert(table, object)

      assert Table.lookup(table, :key) == objects
      assert Table.info(table, :size) == 20_000
      Table.delete_object(table, {:key, 10_000})
      assert Table.lookup(table, :key) == List.delete(objects, {:key, 10_000})
      assert length(Table.take(table, :key)) == 19_999
      assert Table.tab2list(table) == []
    end
  end

  for type <- [:set, :ordered_set] do
    describe "counters of a #{type}" do
      setup do
        table = Table.new(:table, [unquote(type)])
        Table.insert(table, {:c, 1, 10, :text})
        %{table: table}
      end

      test "are counted by every kind of operation", %{table: table} do
        assert Table.update_counter(table, :c, 4) == 5
        assert Table.update_counter(table, :c, {3, -20}) == -10
        assert Table.update_counter(table, :c, {2, 1, 5, 0}) == 0
        assert Table.update_counter(table, :c, {3, -1, -10, 7}) == 7
        assert Table.update_counter(table, :c, [{2, 1}, {2, 1}, {3, 1}]) == [1, 2, 8]
        assert Table.update_counter(table, :c, []) == []
        big = Bitwise.bsl(1, 100)
        assert Table.update_counter(table, :c, big) == big + 2
        assert Table.update_counter(table, :c, -big) == 2
        assert Table.lookup(table, :c) == [{:c, 2, 8, :text}]
      end

      test "start from the default", %{table: table} do
        assert Table.update_counter(table, :d, 1, {:ignored, 10}) == 11
        assert Table.update_counter(table, :d, 1, {:ignored, 10}) == 12
        assert Table.update_counter(table, :e, [], {0}) == []
        assert Table.lookup(table, :d) == [{:d, 12}]
        assert Table.lookup(table, :e) == [{:e}]
      end

      test "stay as they were when an operation is refused", %{table: table} do
        refused = [
          {1, 1},
          {4, 1},
          {5, 1},
          {0, 1},
          {2, 1.0},
          {2, 1, 2},
          :one,
          [{2, 1}, {4, 1}],
          [{2, 1} | 1]
        ]

        for operation <- refused do
          assert_raise ArgumentError, fn -> Table.update_counter(table, :c, operation) end
        end

        assert_raise ArgumentError, fn -> Table.update_counter(table, :d, 1) end
        assert_raise ArgumentError, fn -> Table.update_counter(table, :d, 1, {}) end
        assert_raise ArgumentError, fn -> Table.update_counter(table, :d, 1, {:d}) end
        assert Table.tab2list(table) == [{:c, 1, 10, :text}]
      end

      test "are elements that can be set", %{table: table} do
        assert Table.update_element(table, :c, {2, :two}) == true
        assert Table.update_element(table, :c, [{3, 3}, {4, 4}, {3, :three}]) == true
        assert Table.update_element(table, :d, {2, 2}) == false
        assert Table.update_element(table, :d, {2, 2}, {0, 0, 0}) == true
        assert Table.lookup(table, :c) == [{:c, :two, :three, 4}]
        assert Table.lookup(table, :d) == [{:d, 2, 0}]

        for refused <- [{1, 1}, {5, 1}, [{2, 1}, {1, 1}], {2}, {2.0, 1}, :two, [{2, 1} | 1]] do
          assert_raise ArgumentError, fn -> Table.update_element(table, :c, refused) end
        end

        assert Table.lookup(table, :c) == [{:c, :two, :three, 4}]
      end
    end
  end

  describe "access" do
    @reads [lookup: [1], member: [1], lookup_element: [1, 1], first: [], last: [], tab2list: []]
    @writes [
      insert: [{1, 1}],
      insert: [[]],
      insert_new: [{1, 1}],
      delete: [1],
      delete_object: [{1, 1}],
      delete_all_objects: [],
      take: [1],
      update_counter: [1, 1],
      update_element: [1, {2, 1}],
      rename: [:other],
      delete: []
    ]

    test "to a public table is everybody's" do
      for {function, args} <- @reads ++ @writes do
        table = Table.new(:table, [:public])
        Table.insert(table, {1, 1})

        refute elsewhere(fn -> apply(Table, function, [table | args]) end) == {:raised, :badarg},
               "#{function} was refused"
      end
    end

    test "to a protected table is everybody's to read and the owner's to write" do
      table = Table.new(:table, [:protected])
      Table.insert(table, {1, 1})

      for {function, args} <- @reads do
        refute elsewhere(fn -> apply(Table, function, [table | args]) end) == {:raised, :badarg},
               "#{function} was refused"
      end

      for {function, args} <- @writes do
        assert elsewhere(fn -> apply(Table, function, [table | args]) end) == {:raised, :badarg},
               "#{function} was allowed"
      end

      assert Table.tab2list(table) == [{1, 1}]
    end

    test "to a private table is its owner's" do
      table = Table.new(:table, [:private])
      Table.insert(table, {1, 1})

      for {function, args} <- @reads ++ @writes do
        assert elsewhere(fn -> apply(Table, function, [table | args]) end) == {:raised, :badarg},
               "#{function} was allowed"
      end

      assert elsewhere(fn -> Table.info(table, :size) end) == 1
      assert Table.tab2list(table) == [{1, 1}]
    end

    test "is changed by the owner alone" do
      table = Table.new(:table, [:private])

      for function <- [:setopts, :give_away] do
        args = if function == :setopts, do: [{:protection, :public}], else: [self(), nil]
        assert elsewhere(fn -> apply(Table, function, [table | args]) end) == {:raised, :badarg}
      end

      assert Table.setopts(table, {:protection, :public}) == true
      assert elsewhere(fn -> Table.insert(table, {1, 1}) end) == true
      assert Table.setopts(table, protection: :protected) == true
      assert elsewhere(fn -> Table.insert(table, {1, 1}) end) == {:raised, :badarg}
      assert elsewhere(fn -> Table.lookup(table, 1) end) == [{1, 1}]
    end
  end

  describe "a named table" do
    test "is reached by its name and by its reference" do
      assert Table.new(:named_a, [:named_table, :public]) == :named_a
      reference = Table.whereis(:named_a)
      assert is_reference(reference)
      Table.insert(:named_a, {1, 1})
      assert Table.lookup(reference, 1) == [{1, 1}]
      assert Table.info(reference, :name) == :named_a
      assert Table.info(:named_a, :id) == reference
      assert Table.info(:named_a, :named_table) == true
      assert :named_a in Table.all()
    end

    test "has its name to itself until it is gone" do
      Table.new(:named_b, [:named_table])
      assert_raise ArgumentError, fn -> Table.new(:named_b, [:named_table]) end
      assert is_reference(Table.new(:named_b, []))
      Table.delete(:named_b)
      assert Table.whereis(:named_b) == :undefined
      assert Table.new(:named_b, [:named_table]) == :named_b
    end

    test "frees its name when its owner exits" do
      owner =
        spawn(fn ->
          Table.new(:named_c, [:named_table])

          receive do
            :stop -> :ok
          end
        end)

      monitor = Process.monitor(owner)
      send(owner, :stop)
      assert_receive {:DOWN, ^monitor, :process, ^owner, _}
      assert Table.new(:named_c, [:named_table]) == :named_c
      assert Table.info(:named_c, :owner) == self()
    end

    test "can be renamed" do
      Table.new(:named_d, [:named_table])
      Table.new(:named_e, [:named_table])
      Table.insert(:named_d, {1, 1})
      assert_raise ArgumentError, fn -> Table.rename(:named_d, :named_e) end
      assert Table.rename(:named_d, :named_f) == :named_f
      assert Table.whereis(:named_d) == :undefined
      assert_raise ArgumentError, fn -> Table.lookup(:named_d, 1) end
      assert Table.lookup(:named_f, 1) == [{1, 1}]
      assert Table.new(:named_d, [:named_table]) == :named_d
    end
  end

  describe "an unnamed table" do
    test "is reached by its reference alone" do
      table = Table.new(:unnamed_a, [])
      assert is_reference(table)
      assert Table.whereis(:unnamed_a) == :undefined
      assert Table.info(table, :name) == :unnamed_a
      assert Table.rename(table, :unnamed_b) == table
      assert Table.info(table, :name) == :unnamed_b
      assert table in Table.all()
      Table.delete(table)
      refute table in Table.all()
    end

    test "travels as its reference does" do
      table = Table.new(:unnamed, [:public])
      parent = self()
      spawn(fn -> send(parent, {:inserted, Table.insert(table, {1, table}), table}) end)
      assert_receive {:inserted, true, ^table}
      assert Table.lookup(table, 1) == [{1, table}]
      assert table |> :erlang.term_to_binary() |> :erlang.binary_to_term() |> Table.member(1)
    end
  end

  describe "a deleted table" do
    test "is refused by everything but info" do
      table = Table.new(:table, [])
      Table.insert(table, {1, 1})
      assert Table.delete(table) == true

      for {function, args} <- @reads ++ @writes do
        assert_raise ArgumentError, fn -> apply(Table, function, [table | args]) end
      end

      assert Table.info(table) == :undefined
      assert Table.info(table, :size) == :undefined
      refute table in Table.all()
    end
  end

  describe "ownership" do
    test "ends with the owner, and the table with it" do
      parent = self()

      owner =
        spawn(fn ->
          send(parent, {:table, Table.new(:table, [:public])})
          Process.sleep(:infinity)
        end)

      assert_receive {:table, table}
      assert Table.info(table, :owner) == owner
      monitor = Process.monitor(owner)
      Process.exit(owner, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^owner, :killed}
      eventually(fn -> Table.info(table) == :undefined end)
    end

    test "ends for all tables before anyone who is told of the exit can look" do
      parent = self()
      names = for n <- 1..300, do: :"told_#{n}"

      # The VM goes through the monitors of a process in some order: be told first, and last.
      for n <- 1..20 do
        {owner, first} =
          spawn_monitor(fn ->
            immortal = for _ <- names, do: Table.new(:table, [{:heir, :immortal}])
            for name <- names, do: Table.new(name, [:named_table])
            send(parent, {:immortal, immortal})
            receive do: (:never -> :ok)
          end)

        assert_receive {:immortal, immortal}
        monitor = if rem(n, 2) == 0, do: first, else: Process.monitor(owner)
        Process.exit(owner, :kill)
        assert_receive {:DOWN, ^monitor, :process, ^owner, :killed}
        for table <- immortal, do: assert(Table.claim(table) == {:ok, table})
        for name <- names, do: assert(Table.new(name, [:named_table]) == name)
        # What comes of the exit later finds other owners.
        for table <- names ++ immortal, do: assert(Table.info(table, :owner) == self())
        for table <- names ++ immortal, do: Table.delete(table)
      end
    end

    test "goes to the heir, with the table's data" do
      heir = self()

      {owner, monitor} =
        spawn_monitor(fn ->
          table = Table.new(:table, [:private, {:heir, heir, :inherited}])
          Table.insert(table, {1, 1})
        end)

      assert_receive {:"ETS-TRANSFER", table, ^owner, :inherited}
      assert_receive {:DOWN, ^monitor, :process, ^owner, :normal}
      assert Table.info(table, :owner) == self()
      assert Table.lookup(table, 1) == [{1, 1}]
    end

    test "goes to an heir without data silently" do
      parent = self()

      owner =
        spawn(fn ->
          send(parent, {:table, Table.new(:table, [:private, {:heir, parent}])})
          Process.sleep(:infinity)
        end)

      assert_receive {:table, table}
      Process.exit(owner, :kill)
      eventually(fn -> Table.info(table, :owner) == parent end)
      refute_received {:"ETS-TRANSFER", _, _, _}
    end

    test "may end and leave an immortal table" do
      parent = self()

      {owner, monitor} =
        spawn_monitor(fn ->
          table = Table.new(:table, [:public, {:heir, :immortal}])
          Table.insert(table, {1, 1})
          send(parent, {:table, table})
        end)

      assert_receive {:table, table}
      assert_receive {:DOWN, ^monitor, :process, ^owner, :normal}
      eventually(fn -> Table.info(table, :owner) == :none end)
      assert Table.info(table, :heir) == :immortal
      assert Table.lookup(table, 1) == [{1, 1}]
      assert Table.delete(table) == true
    end

    test "can be given away, to a living process of this node" do
      table = Table.new(:table, [:private])
      Table.insert(table, {1, 1})
      parent = self()

      friend =
        spawn_link(fn ->
          receive do
            {:"ETS-TRANSFER", ^table, ^parent, data} ->
              send(parent, {:got, data, Table.lookup(table, 1)})
              Process.sleep(:infinity)
          end
        end)

      assert_raise ArgumentError, fn -> Table.give_away(table, self(), nil) end
      assert_raise ArgumentError, fn -> Table.give_away(table, dead_process(), nil) end
      assert_raise ArgumentError, fn -> Table.give_away(table, :nobody, nil) end
      assert Table.give_away(table, friend, :gift) == true
      assert_receive {:got, :gift, [{1, 1}]}
      assert Table.info(table, :owner) == friend
      assert_raise ArgumentError, fn -> Table.lookup(table, 1) end
    end

    test "is set anew by setopts" do
      table = Table.new(:table, [])
      assert Table.setopts(table, {:heir, self(), :data}) == true
      assert Table.info(table, :heir) == self()
      assert Table.setopts(table, {:heir, :none}) == true
      assert Table.info(table, :heir) == :none
      assert Table.setopts(table, [{:heir, dead_process(), :data}]) == true
      assert Table.info(table, :heir) == :none
    end
  end

  describe "info" do
    test "has the items of :ets, in its order" do
      table = Table.new(:table, [:ordered_set, :private, keypos: 2])
      twin = :ets.new(:table, [:ordered_set, :private, keypos: 2])

      differing = [:id, :memory]
      assert Keyword.keys(Table.info(table)) == Keyword.keys(:ets.info(twin))

      assert Keyword.drop(Table.info(table), differing) ==
               Keyword.drop(:ets.info(twin), differing)

      for {item, value} <- Table.info(table), item != :memory do
        assert Table.info(table, item) == value
      end

      assert Table.info(table, :fixed) == :ets.info(twin, :fixed)
      assert Table.info(table, :safe_fixed) == :ets.info(twin, :safe_fixed)
    end

    test "counts the memory of what is inserted, and of binaries too" do
      table = Table.new(:table, [])
      empty = Table.info(table, :memory)
      Table.insert(table, for(i <- 1..1000, do: {i, List.duplicate(i, 10)}))
      filled = Table.info(table, :memory)
      assert filled - empty > 1000 * 20
      Table.insert(table, {:binary, :binary.copy("x", 800_000)})
      assert Table.info(table, :memory) - filled > 100_000
    end

    test "knows no table that is not there" do
      assert Table.info(:no_such_table) == :undefined
      assert Table.info(:no_such_table, :size) == :undefined
      assert_raise ArgumentError, fn -> Table.info(1) end
      assert_raise ArgumentError, fn -> Table.info(make_ref(), :size) end
    end
  end

  describe "an error" do
    test "has the shape of :ets's" do
      table = Table.new(:table, [])
      twin = :ets.new(:table, [])

      calls = [
        insert: [:not_an_object],
        lookup_element: [:no_key, 1],
        update_counter: [:no_key, 1],
        next: [:no_key],
        setopts: [:nonsense],
        info: [:nonsense]
      ]

      for {function, args} <- calls do
        assert {:error, :badarg, {Blanket.Table, ^function, [^table | ^args], info}} =
                 raised(Table, function, [table | args])

        assert {:error, :badarg, {:ets, ^function, [^twin | ^args], _info}} =
                 raised(:ets, function, [twin | args])

        assert %{module: Blanket.Table.Error} = info[:error_info]
      end
    end

    test "names the argument and the reason" do
      set = Table.new(:table, keypos: 2)
      bag = Table.new(:table, [:bag])
      gone = Table.new(:table, [])
      other = elsewhere(fn -> Table.new(:table, [{:heir, :immortal}, :private]) end)
      Table.delete(gone)
      Table.insert(set, {1, :key, 3, :text})
      Table.new(:named_g, [:named_table])
      elsewhere(fn -> Table.new(:taken_o, [:named_table, {:heir, :immortal}]) end)
      {:ok, _heir} = Blanket.new(Blanket, :nobody, {:taken_k, [:named_table]})
      {:ok, _} = Blanket.claim_table(:taken_c, create_table: {:taken_c, [:named_table]})

      for {call, args, {position, text}} <- [
            {&Table.lookup/2, [gone, 1], {1, "does not refer to an existing table"}},
            {&Table.lookup/2, [gone, 1], {1, "Blanket.new/4 keeps a table for the next owner"}},
            {&Table.lookup/2, [:no_such_table, 1], {1, "does not refer to an existing table"}},
            {&Table.lookup/2, [:no_such_table, 1], {1, "none with :named_table has this name"}},
            {&Table.lookup/2, ["table", 1], {1, "neither the reference nor the name of a table"}},
            {&Table.lookup/2, [make_ref(), 1], {1, "neither the reference nor the name"}},
            {&Table.lookup/2, [other, 1], {1, "insufficient access rights"}},
            {&Table.insert/2, [other, {1}], {1, "insufficient access rights"}},
            {&Table.insert/2, [gone, :x], {2, "neither a tuple nor a list of tuples"}},
            {&Table.insert/2, [set, :x], {2, "neither a tuple nor a list of tuples"}},
            {&Table.insert/2, [set, {1}], {2, "fewer elements than the key position, 2"}},
            {&Table.insert/2, [set, {}], {2, "a tuple without elements"}},
            {&Table.insert/2, [set, [{1, 2}, 3]], {2, "3 in the list: not a tuple"}},
            {&Table.insert/2, [set, [{1, 2}, {3}]], {2, "{3} in the list: the tuple has fewer"}},
            {&Table.insert/2, [set, [{1, 2} | 3]], {2, "not a proper list"}},
            {&Table.insert_new/2, [set, [3]], {2, "3 in the list: not a tuple"}},
            {&Table.delete_object/2, [set, 3], {2, "not a tuple"}},
            {&Table.lookup_element/3, [set, :no, 1], {2, "not an existing key"}},
            {&Table.lookup_element/3, [set, :key, 5], {3, "no element at 5"}},
            {&Table.lookup_element/3, [set, :key, 0], {3, "out of range"}},
            {&Table.lookup_element/3, [set, :key, :a], {3, "not an integer"}},
            {&Table.lookup_element/4, [set, :no, 0, nil], {3, "out of range"}},
            {&Table.update_counter/3, [bag, 1, 1], {1, "not possible on a bag"}},
            {&Table.update_counter/3, [set, :no, 1], {2, "not an existing key"}},
            {&Table.update_counter/3, [set, :key, {2, 1}], {3, "is the key"}},
            {&Table.update_counter/3, [set, :key, {9, 1}], {3, "no element at 9"}},
            {&Table.update_counter/3, [set, :key, [{3, 1}, {4, 1}]],
             {3, "at 4 is not an integer"}},
            {&Table.update_counter/3, [set, :key, [{3, 1}, 1]],
             {3, "not a valid update operation: 1"}},
            {&Table.update_counter/3, [set, :key, :up], {3, "not a valid update operation: :up"}},
            {&Table.update_counter/4, [set, :no, 1, {1}], {4, "fewer elements than the key"}},
            {&Table.update_counter/4, [set, :no, 1, :x], {4, "not a tuple"}},
            {&Table.update_counter/4, [set, :no, 1, {1, 2}], {3, "no element at 3"}},
            {&Table.update_element/3, [set, :key, {2, 1}], {3, "is the key"}},
            {&Table.update_element/3, [set, :key, [{3, 1}, 3]], {3, "{position, value}: 3"}},
            {&Table.update_element/3, [set, :key, {9, 1}], {3, "no element at 9"}},
            {&Table.update_element/3, [bag, :key, {2, 1}], {1, "not possible on a bag"}},
            {&Table.update_element/4, [set, :no, {1, 1}, {1}], {4, "fewer elements"}},
            {&Table.next/2, [set, :no], {2, "not an existing key"}},
            {&Table.prev/2, [set, :no], {2, "not an existing key"}},
            {&Table.new/2, ["table", []], {1, "not an atom"}},
            {&Table.new/2, [:t, [:set, {:keypos, 0}]], {2, "not a valid option: {:keypos, 0}"}},
            {&Table.new/2, [:t, [:set | :bag]], {2, "not a proper list"}},
            {&Table.new/2, [:named_g, [:named_table]], {1, "the name belongs to another table"}},
            {&Table.new/2, [:named_g, [:named_table]],
             {1, "owned by #{inspect(self())}: choose another name, or delete that table first"}},
            {&Table.new/2, [:taken_o, [:named_table]],
             {1, "Blanket.Table.claim(:taken_o) makes"}},
            {&Table.new/2, [:taken_k, [:named_table]], {1, "gets it by Blanket.receive_table/2"}},
            {&Table.new/2, [:taken_c, [:named_table]],
             {1, "is kept and owned by #{inspect(self())}"}},
            {&Table.rename/2, [:named_g, "name"], {2, "not an atom"}},
            {&Table.rename/2, [:named_g, :named_g], {2, "the name belongs to another table"}},
            {&Table.whereis/1, [1], {1, "not an atom"}},
            {&Table.info/2, [set, :age], {2, "not an item of the table's info"}},
            {&Table.setopts/2, [set, {:heir, :son}], {2, "not a valid option: {:heir, :son}"}},
            {&Table.setopts/2, [other, []], {1, "only its owner may do this"}},
            {&Table.give_away/3, [set, self(), 1], {2, "owns the table already"}},
            {&Table.give_away/3, [set, :me, 1], {2, "not a pid"}},
            {&Table.give_away/3, [set, dead_process(), 1], {2, "not alive"}},
            {&Table.give_away/3, [other, self(), 1], {1, "only its owner may do this"}}
          ] do
        ordinal = Enum.at(~w(1st 2nd 3rd 4th), position - 1)

        assert [_, line] =
                 String.split(message(fn -> apply(call, args) end), "* #{ordinal} argument: ")

        assert hd(String.split(line, "\n")) =~ text
      end

      for orphan <- [:taken_o, :taken_k], do: {:ok, ^orphan} = Table.claim(orphan)
      for table <- [:taken_o, :taken_k, :taken_c], do: Table.delete(table)
    end

    test "says what was wrong when it happened, not when it is printed" do
      table = Table.new(:table, [])

      stacktrace =
        try do
          Table.insert(table, :x)
        rescue
          _ -> __STACKTRACE__
        end

      Table.delete(table)

      assert elsewhere(fn -> Exception.format(:error, :badarg, stacktrace) end) =~
               "2nd argument: neither a tuple nor a list of tuples"
    end
  end

  defp raised(module, function, args) do
    apply(module, function, args)
  catch
    kind, reason -> {kind, reason, List.first(__STACKTRACE__)}
  end

  test "Erlang code calls it as it calls ets" do
    forms = [
      ~c"-module(blanket_table_caller).",
      ~c"-export([run/0]).",
      ~c"run() -> T = 'Elixir.Blanket.Table':new(t, [bag]), " ++
        ~c"true = 'Elixir.Blanket.Table':insert(T, {a, 1}), 'Elixir.Blanket.Table':lookup(T, a)."
    ]

    parsed =
      for form <- forms do
        {:ok, tokens, _} = :erl_scan.string(form)
        {:ok, parsed} = :erl_parse.parse_form(tokens)
        parsed
      end

    {:ok, module, binary} = :compile.forms(parsed)
    {:module, ^module} = :code.load_binary(module, ~c"blanket_table_caller", binary)
    assert module.run() == [{:a, 1}]
  end
end
