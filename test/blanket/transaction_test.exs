defmodule Blanket.TransactionTest do
  # One transaction at a time, or with changes by others that are told when to come.
  use ExUnit.Case, async: true

  import Bitwise

  require Blanket.Transaction.State, as: State

  alias Blanket.{Native, Table, Transaction}

  doctest Blanket.Transaction

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  defp table(type, options \\ [:public]), do: Table.new(:table, [type | options])

  # In another process, to its end.
  defp elsewhere(fun), do: fun |> Task.async() |> Task.await()

  defp message(fun), do: assert_raise(ArgumentError, fun) |> Exception.message()

  # Runs `fun` and then, the first time, `meanwhile` in another process.
  defp with_change(fun, meanwhile) do
    runs = :counters.new(1, [])

    answer =
      Blanket.transaction(fn tx ->
        :counters.add(runs, 1, 1)
        result = fun.(tx)
        if :counters.get(runs, 1) == 1, do: elsewhere(meanwhile)
        result
      end)

    {answer, :counters.get(runs, 1)}
  end

  describe "what a transaction comes to" do
    test "one that catches that it has lost sees nothing that was not there at one instant" do
      for type <- @types do
        table = table(type)
        Table.insert(table, {1})
        runs = :counters.new(1, [])

        answer =
          Blanket.transaction(fn tx ->
            :counters.add(runs, 1, 1)
            there? = Transaction.member(tx, table, 1)
            if :counters.get(runs, 1) == 1, do: elsewhere(fn -> Table.delete(table, 1) end)

            try do
              Transaction.lookup(tx, table, 1)
            catch
              :throw, _ -> :caught
            end

            {there?, Transaction.member(tx, table, 1)}
          end)

        assert answer in [{:ok, {true, true}}, {:ok, {false, false}}]
      end
    end

    test "one that has lost goes no further, whatever it catches" do
      table = table(:set)
      Table.insert(table, {1})
      runs = :counters.new(1, [])

      caught = fn call ->
        try do
          call.()
        catch
          :throw, _ -> :caught
        end
      end

      assert {:ok, {false, [], true}} =
               Blanket.transaction(fn tx ->
                 :counters.add(runs, 1, 1)
                 there? = Transaction.member(tx, table, 1)
                 elsewhere(fn -> Table.delete(table, 1) end)

                 if there? do
                   calls = [
                     &Transaction.lookup(&1, table, 1),
                     &Transaction.lookup(&1, table, 2),
                     &Transaction.insert(&1, table, {3}),
                     &Transaction.tab2list(&1, table),
                     &Transaction.abort(&1, :lost)
                   ]

                   for call <- calls, do: assert(caught.(fn -> call.(tx) end) == :caught)

                   # In a nested one, too.
                   nested = fn -> Blanket.transaction(&Transaction.lookup(&1, table, 2)) end
                   assert caught.(nested) == :caught
                   :lost
                 else
                   {there?, Transaction.lookup(tx, table, 1), Transaction.insert(tx, table, {2})}
                 end
               end)

      assert :counters.get(runs, 1) == 2
      assert Table.tab2list(table) == [{2}]
    end

    test "a function that erases its process's dictionary is told so" do
      table = table(:set)
      others = Process.get()

      for erase <- [fn -> Process.delete(:"$blanket_transaction") end, &:erlang.erase/0],
          last <- [fn _ -> :ok end, fn _ -> raise "other" end] do
        error =
          assert_raise RuntimeError, fn ->
            Blanket.transaction(fn tx ->
              Transaction.insert(tx, table, {1})
              erase.()

              assert message(fn -> Transaction.lookup(tx, table, 1) end) =~
                       "no transaction of this"

              last.(tx)
            end)
          end

        assert error.message =~ "from which its function has erased it"
        for {key, value} <- others, do: Process.put(key, value)
      end

      error =
        assert_raise RuntimeError, fn ->
          Blanket.transaction(fn _tx ->
            Blanket.transaction(fn inner ->
              Process.put(:"$blanket_transaction", :mine)
              Transaction.abort(inner, :reason)
            end)
          end)
        end

      assert error.message =~ "from which its function has erased it"
      assert Table.tab2list(table) == []
      assert Blanket.transaction(&Transaction.insert(&1, table, {1})) == {:ok, true}
    end

    test "to commit large terms is left to another scheduler, as many operations are" do
      for options <- [[], [:compressed]], type <- @types do
        table = table(type, [:public | options])
        written = &if type in [:set, :ordered_set], do: &1, else: [{:insert, &1}]
        large = Enum.to_list(1..20_000)
        wide = List.to_tuple(large)
        map = Map.new(large, &{&1, &1})
        commit = &Native.commit({table}, &1, &2, %{})

        for value <- [large, wide, map, 1 <<< 4_000_000, String.duplicate("a", 400_000)] do
          write = %{{0, 1} => written.({1, value})}
          assert commit.(%{}, write) == :large
          assert commit.(%{{0, 1} => [{1, value}]}, %{}) == :large
          assert commit.(%{{0, value} => []}, %{}) == :large
          assert commit.(%{}, %{{0, value} => written.({value, 1})}) == :large
          assert Table.tab2list(table) == []
          assert Native.commit_large({table}, %{}, write, %{})
          assert Table.tab2list(table) == [{1, value}]
          Table.delete_all_objects(table)
        end

        some = for key <- 1..20, into: %{}, do: {{0, key}, written.({key, Enum.to_list(1..100)})}
        assert commit.(%{}, some)
        assert Table.info(table, :size) == 20
      end
    end

    test "it keeps nothing of the tables that it went over when it is done" do
      for type <- @types, ends <- [:ok, :abort, :raise] do
        table = table(type)
        Table.insert(table, {1})
        test = self()

        run = fn ->
          Blanket.transaction(fn tx ->
            Transaction.tab2list(tx, table)
            send(test, State.state(State.current(), :watches))
            if ends == :abort, do: Transaction.abort(tx, :abort)
            if ends == :raise, do: raise("no")
          end)
        end

        if ends == :raise, do: assert_raise(RuntimeError, run), else: run.()
        assert_received %{0 => watch}
        assert Native.tab2list(watch) == []
        assert Table.tab2list(table) == [{1}]
      end
    end

    test "all of its changes are made, in all tables, or none" do
      tables = for type <- @types, do: table(type)
      for table <- tables, do: Table.insert(table, {:old, 0})

      write = fn tx ->
        for table <- tables do
          Transaction.insert(tx, table, {:new, 1})
          Transaction.delete(tx, table, :old)
        end
      end

      assert {:error, :no} =
               Blanket.transaction(fn tx ->
                 write.(tx)
                 Transaction.abort(tx, :no)
               end)

      writes = fn end_it ->
        fn tx ->
          write.(tx)
          end_it.()
        end
      end

      assert_raise RuntimeError, "no", fn ->
        Blanket.transaction(writes.(fn -> raise "no" end))
      end

      assert catch_throw(Blanket.transaction(writes.(fn -> throw(:ball) end))) == :ball
      assert catch_exit(Blanket.transaction(writes.(fn -> exit(:bye) end))) == :bye
      for table <- tables, do: assert(Table.tab2list(table) == [{:old, 0}])

      assert {:ok, [true, true, true, true]} = Blanket.transaction(write)
      for table <- tables, do: assert(Table.tab2list(table) == [{:new, 1}])
      assert Process.get() |> Keyword.keyword?()
      refute Process.get(:"$blanket_transaction")
    end

    test "nobody sees anything of it before" do
      table = table(:set)
      Table.insert(table, {1, :old})

      Blanket.transaction(fn tx ->
        Transaction.insert(tx, table, [{1, :new}, {2, :new}])
        assert Table.lookup(table, 1) == [{1, :old}]
        assert elsewhere(fn -> Table.tab2list(table) end) == [{1, :old}]
      end)

      assert Enum.sort(Table.tab2list(table)) == [{1, :new}, {2, :new}]
    end

    for count <- [10, 100, 5000] do
      test "of #{count} changes a snapshot has all or nothing" do
        tables = for type <- [:set, :ordered_set], do: table(type)
        keys = 1..unquote(count)
        for table <- tables, do: Table.insert(table, for(key <- keys, do: {key, 0}))
        {:ok, before} = Table.snapshot(tables)

        Blanket.transaction(fn tx ->
          for table <- tables, key <- keys do
            assert [{^key, 0}] = Transaction.lookup(tx, table, key)
            Transaction.insert(tx, table, {key, 1})
          end
        end)

        {:ok, later} = Table.snapshot(tables)

        for {snapshots, version} <- [{before, 0}, {later, 1}], snapshot <- snapshots do
          assert snapshot |> Table.tab2list() |> Enum.sort() ==
                   for(key <- keys, do: {key, version})
        end

        Table.release(before ++ later)
      end
    end

    test "a snapshot can be read, and is not written" do
      table = table(:bag)
      Table.insert(table, {1, :then})
      {:ok, snapshot} = Table.snapshot(table)
      Table.insert(table, {1, :now})

      assert {:ok, {[{1, :then}], [{1, :then}], 1, true}} =
               Blanket.transaction(fn tx ->
                 Transaction.insert(tx, table, {1, :new})

                 {Transaction.lookup(tx, snapshot, 1), Transaction.tab2list(tx, snapshot),
                  Transaction.first(tx, snapshot), Transaction.member(tx, snapshot, 1)}
               end)

      error = message(fn -> Blanket.transaction(&Transaction.insert(&1, snapshot, {2, 2})) end)
      assert error =~ "2nd argument: a snapshot, which can be read but not changed"
    end
  end

  describe "what others change meanwhile" do
    for type <- @types do
      test "under a key that was read of a #{type}" do
        table = table(unquote(type))
        Table.insert(table, {1, 0})
        read = &Transaction.lookup(&1, table, 1)
        assert {{:ok, [{1, 0}]}, 1} = with_change(read, fn -> Table.insert(table, {2, 0}) end)
        assert {{:ok, _}, 1} = with_change(read, fn -> Table.insert(table, {2, 1}) end)
        both = fn tx -> {Transaction.lookup(tx, table, 2), read.(tx)} end
        assert {{:ok, {_, []}}, 2} = with_change(both, fn -> Table.delete(table, 1) end)

        assert {{:ok, {_, [{1, 5}]}}, 2} =
                 with_change(both, fn -> Table.insert(table, {1, 5}) end)

        write = fn tx ->
          [{1, value} | _] = Transaction.lookup(tx, table, 1)
          Transaction.insert(tx, table, {3, value})
        end

        change = fn ->
          Table.delete(table, 1)
          Table.insert(table, {1, 7})
        end

        assert {{:ok, true}, 2} = with_change(write, change)
        assert Table.lookup(table, 3) == [{3, 7}]
      end

      test "in a #{type} that was gone over" do
        table = table(unquote(type))
        Table.insert(table, for(key <- 1..10, do: {key, key}))
        more_than_five = [{{:_, :"$1"}, [{:>, :"$1", 5}], [:"$1"]}]

        for look <- [
              &Transaction.select(&1, table, more_than_five),
              &Transaction.select_reverse(&1, table, more_than_five),
              &[Transaction.select_count(&1, table, [{:_, [], [true]}])],
              &Transaction.match(&1, table, {:"$1", :_}),
              &Transaction.match_object(&1, table, :_),
              &Transaction.tab2list(&1, table),
              &Transaction.foldl(&1, fn object, list -> [object | list] end, [], table),
              &walk(&1, table, Transaction.first(&1, table))
            ] do
          key = System.unique_integer([:positive]) + 10
          insert = fn -> Table.insert(table, {key, key}) end
          assert {{:ok, [_ | _] = seen}, 2} = with_change(look, insert)
          assert {{:ok, less}, 2} = with_change(look, fn -> Table.delete(table, key) end)
          assert Enum.sum(seen_count(seen)) == Enum.sum(seen_count(less)) + 1
          # Nothing was changed.
          assert {{:ok, ^less}, 1} = with_change(look, fn -> :ok end)
        end
      end
    end

    test "that there is an object under a key is all that member tells" do
      table = table(:set)
      Table.insert(table, {1, 0})

      look = fn tx ->
        {Transaction.member(tx, table, 1), Transaction.member(tx, table, 2)}
      end

      assert {{:ok, {true, false}}, 1} = with_change(look, fn -> Table.insert(table, {1, 9}) end)
      assert {{:ok, {true, true}}, 2} = with_change(look, fn -> Table.insert(table, {2, 9}) end)
      assert {{:ok, {false, true}}, 2} = with_change(look, fn -> Table.delete(table, 1) end)
    end

    test "who has seen that there is an object does not see none later" do
      table = table(:set)
      Table.insert(table, {1, 0})
      runs = :counters.new(1, [])

      assert {:ok, {false, []}} =
               Blanket.transaction(fn tx ->
                 :counters.add(runs, 1, 1)
                 there? = Transaction.member(tx, table, 1)
                 elsewhere(fn -> Table.delete(table, 1) end)
                 {there?, Transaction.lookup(tx, table, 1)}
               end)

      assert :counters.get(runs, 1) == 2
    end

    test "a key that is read twice is what it was" do
      table = table(:ordered_set)
      Table.insert(table, {1, 0})

      assert {:ok, {[{1, 0}], [{1, 0}]}} =
               Blanket.transaction(fn tx ->
                 first = Transaction.lookup(tx, table, 1)
                 elsewhere(fn -> Table.insert(table, {1, 5}) end)
                 {first, Transaction.lookup(tx, table, 1.0)}
               end)
    end

    test "an exception or an abort by what was never there at one instant is tried again" do
      [one, two] = for _ <- 1..2, do: table(:set)

      for ending <- [:raise, :abort, :throw] do
        for table <- [one, two], do: Table.insert(table, {:flag, :off})

        check = fn tx ->
          first = Transaction.lookup(tx, one, :flag)
          if first == [{:flag, :off}], do: elsewhere(fn -> switch(one, two, :on) end)
          second = Transaction.lookup(tx, two, :flag)

          cond do
            first == second -> :equal
            ending == :raise -> raise "they differ"
            ending == :throw -> throw(:differ)
            true -> Transaction.abort(tx, :differ)
          end
        end

        assert Blanket.transaction(check) == {:ok, :equal}
      end
    end

    test "a table is emptied" do
      for type <- @types do
        table = table(type)
        Table.insert(table, {1, 0})

        for {look, empty} <- [
              {&Transaction.lookup(&1, table, 1), []},
              {&Transaction.tab2list(&1, table), []}
            ] do
          Table.insert(table, {1, 0})
          write = fn tx -> {look.(tx), Transaction.insert(tx, table, {2, 2})} end
          change = fn -> Table.delete_all_objects(table) end
          assert {{:ok, {^empty, true}}, 2} = with_change(write, change)
          assert Table.tab2list(table) == [{2, 2}]
          Table.delete_all_objects(table)
        end
      end
    end

    test "who changes what it has read by itself loses for ever, but for so many tries" do
      table = table(:set)
      Table.insert(table, {1, 0})
      runs = :counters.new(1, [])

      assert {:error, :conflict} =
               Blanket.transaction(fn tx ->
                 :counters.add(runs, 1, 1)
                 [{1, value}] = Transaction.lookup(tx, table, 1)
                 Table.insert(table, {1, value + 1})
                 Transaction.insert(tx, table, {2, value})
               end)

      assert :counters.get(runs, 1) == 51
      refute Table.member(table, 2)
    end

    test "with no more tries it is a conflict" do
      table = table(:set)
      Table.insert(table, {1, 0})

      for retries <- [0, 1, 7] do
        runs = :counters.new(1, [])

        assert {:error, :conflict} =
                 Blanket.transaction(
                   fn tx ->
                     :counters.add(runs, 1, 1)
                     [{1, value}] = Transaction.lookup(tx, table, 1)
                     # The process itself may always write.
                     Table.insert(table, {1, value + 1})
                     Transaction.insert(tx, table, {2, value})
                   end,
                   retries: retries
                 )

        assert :counters.get(runs, 1) == retries + 1
        refute Table.member(table, 2)
      end
    end
  end

  describe "what it has written itself is seen" do
    for type <- @types, compressed <- [[], [:compressed]] do
      test "of a #{Enum.join([type | compressed], " ")}, by every function" do
        table = table(unquote(type), [:public | unquote(compressed)])
        text = String.duplicate("long ", 100)
        Table.insert(table, for(key <- 1..6, do: {key, key, text}))
        twin = :ets.new(:twin, [unquote(type), :public])
        :ets.insert(twin, Table.tab2list(table))

        Blanket.transaction(fn tx ->
          for {name, args} <- [
                insert: [{7, 7, text}],
                insert: [[{2, 3, text}, {2, 2, text}, {8, 0, :x}]],
                delete: [1],
                delete_object: [{3, 3, text}],
                delete_object: [{4, :other}],
                delete_object: [{7, 7, text}],
                insert_new: [{7, 1, :new}],
                insert_new: [[{7, 2, :new}, {9, 9, :new}]],
                take: [5],
                take: [55],
                match_delete: [{8, :_, :_}],
                select_delete: [[{{:"$1", :_, :_}, [{:==, :"$1", 6}], [true]}]],
                insert: [{6, 6, :again}]
              ] do
            assert {name, args, apply(Transaction, name, [tx, table | args])} ==
                     {name, args, apply(:ets, name, [twin | args])}

            same(tx, table, twin, unquote(type))
          end
        end)

        assert Enum.sort(Table.tab2list(table)) == Enum.sort(:ets.tab2list(twin))
      end
    end

    for type <- [:set, :ordered_set] do
      test "counters and elements of a #{type}" do
        table = table(unquote(type))
        Table.insert(table, {1, 10, :a})
        twin = :ets.new(:twin, [unquote(type), :public])
        :ets.insert(twin, {1, 10, :a})

        Blanket.transaction(fn tx ->
          for {name, args} <- [
                update_counter: [1, 5],
                update_counter: [1, {2, -3}],
                update_counter: [1, {2, 100, 50, 7}],
                update_counter: [1, {2, -100, 0, 9}],
                update_counter: [1, [{2, 1}, {2, 1, 100, 0}, {2, 0}]],
                update_counter: [1, []],
                update_counter: [2, {2, 1}, {:default, 5, :b}],
                update_element: [1, {3, :c}],
                update_element: [1, [{3, :d}, {2, 0}, {3, :e}]],
                update_element: [3, {2, :f}]
              ] do
            assert {name, args, apply(Transaction, name, [tx, table | args])} ==
                     {name, args, apply(:ets, name, [twin | args])}
          end

          assert Transaction.update_element(tx, table, 4, {2, :g}, {nil, nil, :default})
          :ets.insert(twin, {4, :g, :default})
          same(tx, table, twin, unquote(type))
        end)

        assert Enum.sort(Table.tab2list(table)) == Enum.sort(:ets.tab2list(twin))
      end
    end

    test "an empty match specification finds nothing, as outside of transactions" do
      for type <- @types,
          write <- [&Transaction.insert(&1, &2, {2}), fn _tx, _table -> true end] do
        table = table(type)
        Table.insert(table, {1})

        for name <- [:select, :select_reverse, :select_count, :select_delete] do
          assert {:ok, {name, apply(Table, name, [table, []])}} ==
                   Blanket.transaction(fn tx ->
                     write.(tx, table)
                     {name, apply(Transaction, name, [tx, table, []])}
                   end)
        end

        assert {:ok, _} = Blanket.transaction(&Transaction.select_delete(&1, table, []))
        assert Table.member(table, 1)
        Table.setopts(table, {:protection, :protected})

        assert elsewhere(fn ->
                 message(fn -> Blanket.transaction(&Transaction.select_delete(&1, table, [])) end)
               end) =~ "insufficient access rights"
      end
    end

    test "keys of an ordered_set that are equal are one" do
      table = table(:ordered_set)
      Table.insert(table, {{1, [2.0], %{a: 3}}, :old})

      Blanket.transaction(fn tx ->
        Transaction.insert(tx, table, {{1.0, [2], %{a: 3.0}}, :new})

        for key <- [{1, [2], %{a: 3}}, {1.0, [2.0], %{a: 3.0}}] do
          assert [{_, :new}] = Transaction.lookup(tx, table, key)
        end

        assert [{_, :new}] = Transaction.tab2list(tx, table)
        Transaction.delete(tx, table, {1, [2], %{a: 3}})
        assert Transaction.tab2list(tx, table) == []
        assert Transaction.first(tx, table) == :"$end_of_table"
      end)

      assert Table.tab2list(table) == []
    end

    test "funs in the keys of an ordered_set are equal when what they have is" do
      fun = fn value -> fn -> value end end

      keys =
        for value <- [1, 1.0, 2, 2.0],
            wrap <- [& &1, &{&1, 1.0}, &{&1, 1}, &[&1], &%{a: &1}],
            do: wrap.(fun.(value))

      table = table(:ordered_set)
      twin = :ets.new(:twin, [:ordered_set])

      for round <- 1..300 do
        assert {:ok, :ended} =
                 Blanket.transaction(fn tx ->
                   for step <- 1..5 do
                     key = Enum.random(keys)

                     {name, args} =
                       Enum.random(
                         insert: [{key, {round, step}}],
                         insert_new: [{key, {round, step}}],
                         delete: [key],
                         take: [key],
                         lookup: [key],
                         member: [key]
                       )

                     assert {name, args, apply(Transaction, name, [tx, table | args])} ==
                              {name, args, apply(:ets, name, [twin | args])}

                     expected = :ets.tab2list(twin)
                     assert Transaction.tab2list(tx, table) == expected
                     keys = for {key, _} <- expected, do: key
                     assert walk(tx, table, Transaction.first(tx, table)) == keys
                   end

                   :ended
                 end)

        assert Table.tab2list(table) == :ets.tab2list(twin)
      end
    end

    test "many objects under one key" do
      for type <- [:bag, :duplicate_bag] do
        table = table(type)
        Table.insert(table, for(i <- 1..1000, do: {:key, i}))
        more = &Transaction.insert(&1, table, {:key, length(Transaction.lookup(&1, table, :key))})
        assert {{:ok, true}, 2} = with_change(more, fn -> Table.insert(table, {:key, :other}) end)
        assert List.last(Table.lookup(table, :key)) == {:key, 1001}
      end
    end
  end

  describe "a transaction in another" do
    test "belongs to it" do
      table = table(:set)

      assert {:error, :all} =
               Blanket.transaction(fn tx ->
                 assert {:ok, 1} =
                          Blanket.transaction(fn inner ->
                            Transaction.insert(inner, table, {1, 1})
                            1
                          end)

                 assert Transaction.lookup(tx, table, 1) == [{1, 1}]
                 Transaction.abort(tx, :all)
               end)

      refute Table.member(table, 1)
    end

    test "takes back only its own changes" do
      table = table(:bag)
      Table.insert(table, {0, 0})

      assert {:ok, :went_on} =
               Blanket.transaction(fn tx ->
                 Transaction.insert(tx, table, {1, :outer})

                 write = fn inner ->
                   Transaction.insert(inner, table, {1, :inner})
                   Transaction.insert(inner, table, {2, :inner})
                   [{0, 0}] = Transaction.take(inner, table, 0)
                   inner
                 end

                 abort = fn inner -> inner |> write.() |> Transaction.abort(:inner) end
                 assert {:error, :inner} = Blanket.transaction(abort)

                 raise = fn inner ->
                   write.(inner)
                   raise "inner"
                 end

                 assert_raise RuntimeError, fn -> Blanket.transaction(raise) end
                 assert Transaction.lookup(tx, table, 1) == [{1, :outer}]
                 Transaction.insert(tx, table, {3, :outer})
                 :went_on
               end)

      assert Enum.sort(Table.tab2list(table)) == [{0, 0}, {1, :outer}, {3, :outer}]
    end

    test "what it has read has to be there though it was aborted" do
      table = table(:set)
      Table.insert(table, [{1, 0}, {2, 0}])

      read = fn tx ->
        {:error, value} =
          Blanket.transaction(fn inner ->
            Transaction.abort(inner, Transaction.lookup_element(inner, table, 1, 2))
          end)

        Transaction.insert(tx, table, {3, value})
      end

      assert {{:ok, true}, 2} = with_change(read, fn -> Table.insert(table, {1, 5}) end)
      assert Table.lookup(table, 3) == [{3, 5}]
    end
  end

  describe "tables that change hands" do
    test "a name stands for the table that had it" do
      Table.new(:tx_before, [:named_table, :public])

      Blanket.transaction(fn tx ->
        Transaction.insert(tx, :tx_before, {1, 1})
        Table.rename(:tx_before, :tx_after)
        Table.new(:tx_before, [:named_table, :public])
        Transaction.insert(tx, :tx_before, {2, 2})
        assert Transaction.lookup(tx, :tx_after, 1) == [{1, 1}]
      end)

      assert Table.info(:tx_before, :size) == 0
      assert Enum.sort(Table.tab2list(:tx_after)) == [{1, 1}, {2, 2}]
    end

    test "a table that is deleted meanwhile is an error of the function that uses it" do
      for look <- [&Transaction.lookup(&1, &2, 1), &Transaction.tab2list(&1, &2)] do
        table = table(:set)
        delete = fn -> Table.delete(table) end

        error =
          message(fn ->
            with_change(
              fn tx -> {look.(tx, table), Transaction.insert(tx, table, {1, 1})} end,
              delete
            )
          end)

        assert error =~ "2nd argument: the table identifier does not refer to an existing table"
      end
    end

    test "a table that is deleted between two calls" do
      table = table(:set)

      error =
        message(fn ->
          Blanket.transaction(fn tx ->
            Transaction.first(tx, table)
            Table.delete(table)
            Transaction.tab2list(tx, table)
          end)
        end)

      assert error =~ "does not refer to an existing table"
    end

    test "a table that is given away meanwhile is no longer written" do
      table = table(:set, [:protected])
      friend = spawn_link(fn -> Process.sleep(:infinity) end)
      runs = :counters.new(1, [])

      error =
        message(fn ->
          Blanket.transaction(fn tx ->
            :counters.add(runs, 1, 1)
            Transaction.insert(tx, table, {1, 1})
            if :counters.get(runs, 1) == 1, do: Table.give_away(table, friend, nil)
          end)
        end)

      assert error =~
               "2nd argument: insufficient access rights: the table is protected and owned by"

      assert Table.tab2list(table) == []
    end
  end

  describe "errors" do
    test "access rights are those of the table" do
      for {protection, may} <- [private: :nothing, protected: :read] do
        table = table(:set, [protection])
        Table.insert(table, {1, 1})

        elsewhere(fn ->
          read = fn -> Blanket.transaction(&Transaction.lookup(&1, table, 1)) end
          scan = fn -> Blanket.transaction(&Transaction.select(&1, table, [{:_, [], [1]}])) end
          write = fn -> Blanket.transaction(&Transaction.insert(&1, table, {1, 2})) end

          if may == :read do
            assert read.() == {:ok, [{1, 1}]}
            assert scan.() == {:ok, [1]}
          else
            assert message(read) =~ "insufficient access rights: the table is private"
            assert message(scan) =~ "insufficient access rights: the table is private"
          end

          assert message(write) =~ "insufficient access rights: the table is #{protection}"
        end)

        assert Table.lookup(table, 1) == [{1, 1}]
      end
    end

    test "a transaction that is over, or another process's" do
      table = table(:set)
      {:ok, tx} = Blanket.transaction(& &1)

      uses = [
        &Transaction.lookup(&1, table, 1),
        &Transaction.insert(&1, table, {1}),
        &Transaction.select(&1, table, []),
        &Transaction.next(&1, table, 1),
        &Transaction.foldl(&1, fn _, _ -> 1 end, 1, table),
        &Transaction.abort(&1, :reason)
      ]

      for use <- uses, tx <- [tx, :none, %{}, make_ref()] do
        assert message(fn -> use.(tx) end) =~ "1st argument: no transaction of this process"
        Blanket.transaction(fn _other -> assert message(fn -> use.(tx) end) =~ "1st argument" end)
      end

      Blanket.transaction(fn tx ->
        for use <- uses, do: elsewhere(fn -> assert message(fn -> use.(tx) end) =~ "1st" end)
      end)
    end

    test "bad arguments are named" do
      table = table(:set)
      Table.insert(table, {1, :one, 1})
      bag = table(:bag)

      Blanket.transaction(fn tx ->
        for {expected, call} <- [
              {"2nd argument: neither the reference", &Transaction.lookup(&1, 17, 1)},
              {"2nd argument: the table identifier", &Transaction.lookup(&1, :no_such, 1)},
              {"3rd argument: neither a tuple", &Transaction.insert(&1, table, :a)},
              {"3rd argument: not a proper list", &Transaction.insert(&1, table, [{1} | 2])},
              {"3rd argument: a tuple without", &Transaction.insert(&1, table, {})},
              {"3rd argument: {} in the list", &Transaction.insert_new(&1, table, [{1}, {}])},
              {"3rd argument: not a tuple", &Transaction.delete_object(&1, table, [{1}])},
              {"3rd argument: not an existing key", &Transaction.lookup_element(&1, table, 9, 1)},
              {"4th argument: out of range", &Transaction.lookup_element(&1, table, 1, 0)},
              {"4th argument: the object has no", &Transaction.lookup_element(&1, table, 1, 4)},
              {"3rd argument: not an existing key", &Transaction.update_counter(&1, table, 9, 1)},
              {"4th argument: the element at 2 is not an integer",
               &Transaction.update_counter(&1, table, 1, 1)},
              {"4th argument: the element at 1 is the key",
               &Transaction.update_element(&1, table, 1, {1, 2})},
              {"4th argument: not a valid", &Transaction.update_element(&1, table, 1, :a)},
              {"5th argument: not a tuple",
               &Transaction.update_counter(&1, table, 1, {3, 1}, :a)},
              {"2nd argument: not possible on a bag", &Transaction.fetch(&1, bag, 1)},
              {"2nd argument: not possible on a bag", &Transaction.update_counter(&1, bag, 1, 1)},
              {"3rd argument: not a valid match specification",
               &Transaction.select(&1, table, :a)},
              {"3rd argument: not an existing key", &Transaction.next(&1, table, 9)}
            ] do
          assert message(fn -> call.(tx) end) =~ expected
          # The same when it has written there.
          Transaction.insert(tx, table, {5, :five, 5})
          Transaction.insert(tx, bag, {5, :five, 5})
          assert message(fn -> call.(tx) end) =~ expected
        end

        Transaction.insert(tx, table, {7, :seven})
        error = message(fn -> Transaction.update_counter(tx, table, 7, 1) end)
        assert error =~ "the element at 2 is not an integer"
        assert_raise KeyError, fn -> Transaction.fetch!(tx, table, 9) end
      end)

      assert Enum.sort(Table.tab2list(table)) == [{7, :seven}, {1, :one, 1}, {5, :five, 5}]
    end

    test "bad functions and options are named" do
      assert message(fn -> Blanket.transaction(:fun) end) =~ "a function of one argument"
      assert message(fn -> Blanket.transaction(fn -> 1 end) end) =~ "a function of one argument"

      for options <- [[retries: -1], [retries: 1.5], [tries: 1], :retries, [:a | :b]] do
        assert message(fn -> Blanket.transaction(& &1, options) end) =~ "the option retries:"
      end

      assert Blanket.transaction(fn _tx -> 1 end, retries: :infinity) == {:ok, 1}
    end
  end

  defp walk(_tx, _table, :"$end_of_table"), do: []
  defp walk(tx, table, key), do: [key | walk(tx, table, Transaction.next(tx, table, key))]

  defp seen_count([count]) when is_integer(count), do: [count]
  defp seen_count(seen), do: [length(seen)]

  defp switch(one, two, value) do
    Blanket.transaction(fn tx ->
      for table <- [one, two], do: Transaction.insert(tx, table, {:flag, value})
    end)
  end

  # Every way to read shows what :ets has.
  defp same(tx, table, twin, type) do
    ordered = if type == :ordered_set, do: & &1, else: &Enum.sort/1
    expected = :ets.tab2list(twin)
    assert ordered.(Transaction.tab2list(tx, table)) == ordered.(expected)

    for spec <- [
          [{:"$1", [], [:"$1"]}],
          [{{:"$1", :"$2", :_}, [{:>, :"$1", 2}], [{{:"$2", :"$1"}}]}],
          [{{2, :"$1", :_}, [], [:"$1"]}, {{:"$1", :_, :_}, [{:<, :"$1", 7}], [:"$1"]}]
        ] do
      assert ordered.(Transaction.select(tx, table, spec)) == ordered.(:ets.select(twin, spec))

      assert ordered.(Transaction.select_reverse(tx, table, spec)) ==
               ordered.(:ets.select_reverse(twin, spec))
    end

    counting = [{{:"$1", :_, :_}, [{:>, :"$1", 2}], [true]}]

    assert Transaction.select_count(tx, table, counting) == :ets.select_count(twin, counting)

    assert ordered.(Transaction.match(tx, table, {:"$1", :"$2", :_})) ==
             ordered.(:ets.match(twin, {:"$1", :"$2", :_}))

    keys = expected |> Enum.map(&elem(&1, 0)) |> Enum.uniq()
    assert ordered.(walk(tx, table, Transaction.first(tx, table))) == ordered.(keys)

    if type == :ordered_set do
      back =
        Stream.iterate(Transaction.last(tx, table), &Transaction.prev(tx, table, &1))
        |> Enum.take_while(&(&1 != :"$end_of_table"))

      assert back == Enum.reverse(keys)
    end

    for key <- 0..10 do
      assert Transaction.lookup(tx, table, key) == :ets.lookup(twin, key)
      assert Transaction.member(tx, table, key) == :ets.member(twin, key)
    end
  end
end
