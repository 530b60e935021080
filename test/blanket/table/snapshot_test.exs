defmodule Blanket.Table.SnapshotTest do
  # Alone, for it looks at the memory of the VM.
  use ExUnit.Case, async: false

  import Blanket.Test.Eventually

  alias Blanket.Table

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  defp filled(options, count \\ 5_000) do
    table = Table.new(:snapshots, options)
    Table.insert(table, for(key <- 1..count, do: {key, "value #{key}", key}))
    table
  end

  defp snapshot(table) do
    {:ok, snapshot} = Table.snapshot(table)
    snapshot
  end

  defp message(fun), do: Exception.message(assert_raise(ArgumentError, fun))

  for type <- @types do
    describe "of a #{type}" do
      @describetag type: type

      test "reads as the table did, by every function", %{type: type} do
        table = filled([type, :public])
        Table.insert(table, {7, "another", 0})
        snapshot = snapshot(table)

        reads = [
          lookup: [7],
          lookup_element: [8, 2],
          lookup_element: [0, 2, :none],
          lookup_many: [[1, 7, 0, 5_000]],
          member: [7],
          member: [0],
          tab2list: [],
          match: [{:"$1", :_, 9}],
          match_object: [{7, :_, :_}],
          select: [[{{:"$1", :_, :_}, [{:<, :"$1", 20}], [:"$1"]}]],
          select_reverse: [[{{:"$1", :_, :_}, [{:<, :"$1", 20}], [:"$1"]}]],
          select_count: [[{{:_, :_, :"$1"}, [{:>, :"$1", 100}], [true]}]],
          first: [],
          last: [],
          next: [7],
          prev: [7],
          first_lookup: [],
          last_lookup: [],
          next_lookup: [7],
          prev_lookup: [7],
          slot: [3],
          stream: [],
          stream: [[{{:"$1", :_, :_}, [], [:"$1"]}]],
          info: [:size],
          info: [:type],
          info: [:keypos],
          info: [:name],
          info: [:protection],
          info: [:named_table]
        ]

        read = fn table ->
          for {function, args} <- reads do
            answer = apply(Table, function, [table | args])
            {function, if(function == :stream, do: Enum.to_list(answer), else: answer)}
          end ++
            [
              foldl: Table.foldl(&[&1 | &2], [], table),
              foldr: Table.foldr(&[&1 | &2], [], table),
              portions: portions(Table.select(table, [{:_, [], [:"$_"]}], 600))
            ]
        end

        before = read.(table)
        Table.select_delete(table, [{{:"$1", :_, :_}, [{:<, :"$1", 3_000}], [true]}])
        Table.insert(table, for(key <- 4_000..9_000, do: {key, :changed, 0}))
        assert read.(snapshot) == before
        assert Table.info(table, :size) != Table.info(snapshot, :size)
        Table.delete_all_objects(table)
        assert read.(snapshot) == before
        Table.delete(table)
        assert read.(snapshot) == before
      end

      test "is queried, and written to files", %{type: type} do
        table = filled([type, :public], 500)
        snapshot = snapshot(table)
        Table.delete_all_objects(table)
        handle = Table.table(snapshot)
        assert handle |> :qlc.e() |> Enum.sort() == Enum.sort(Table.tab2list(snapshot))

        path =
          Path.join(System.tmp_dir!(), "snapshot-#{type}-#{System.unique_integer([:positive])}")

        assert Table.tab2file(snapshot, path, extended_info: [:object_count, :md5sum]) == :ok
        assert {:ok, copy} = Table.file2tab(path, verify: true)
        assert Enum.sort(Table.tab2list(copy)) == Enum.sort(Table.tab2list(snapshot))
        assert {:ok, of_ets} = :ets.file2tab(String.to_charlist(path), verify: true)
        assert :ets.info(of_ets, :size) == 500
        File.rm!(path)
      end

      @tag :vm_memory
      test "is held by nothing when it is released", %{type: type} do
        table = filled([type, :public], 20_000)
        snapshots = for _ <- 1..3, do: snapshot(table)
        assert Table.info(hd(snapshots), :memory) < 1_000
        Table.delete_all_objects(table)
        Table.insert(table, for(key <- 1..20_000, do: {key, "value #{key}", key}))
        again = snapshot(table)
        for key <- 1..20_000//50, do: Table.insert(table, {key, :changed, 0})
        assert Table.info(again, :memory) > 20_000
        full = :erlang.memory(:system)
        assert Table.release([again | snapshots]) == :ok
        eventually(fn -> full - :erlang.memory(:system) > 1_000_000 end)
        for snapshot <- [again | snapshots], do: assert(Table.info(snapshot) == :undefined)
      end
    end
  end

  defp portions(:"$end_of_table"), do: []
  defp portions({results, continuation}), do: results ++ portions(Table.select(continuation))

  test "every function that writes refuses it, and says so" do
    snapshot = snapshot(filled([:public], 10))
    objects = Table.tab2list(snapshot)

    for {function, args} <- [
          insert: [{1, 2, 3}],
          insert: [[{1, 2, 3}, {2, 3, 4}]],
          insert_new: [{11, 2, 3}],
          delete: [],
          delete: [1],
          delete_object: [{1, 2, 3}],
          delete_all_objects: [],
          delete_many: [[1, 2]],
          take: [1],
          update_counter: [1, 1],
          update_counter: [1, {3, 1}, {1, 2, 3}],
          update_element: [1, {2, 1}],
          update_element: [1, {2, 1}, {1, 2, 3}],
          compare_and_swap: [{1, 2, 3}, {1, 2, 4}],
          update: [1, {1, 2, 3}, &Function.identity/1],
          match_delete: [:_],
          select_delete: [[{:_, [], [true]}]],
          select_replace: [[{:_, [], [:"$_"]}]],
          rename: [:other],
          setopts: [{:heir, :none}],
          init_table: [fn :read -> :end_of_input end],
          from_dets: [:no_such]
        ] do
      assert message(fn -> apply(Table, function, [snapshot | args]) end) =~
               "1st argument: a snapshot, which can be read but not changed"
    end

    assert message(fn -> Table.snapshot(snapshot) end) =~ "a snapshot already"
    assert Table.claim(snapshot) == {:error, {:table_not_found, snapshot}}
    assert Table.tab2list(snapshot) == objects
    refute snapshot in Table.all()
  end

  test "a released one is refused, and may be released again" do
    table = filled([], 10)
    snapshot = snapshot(table)
    assert Table.release(snapshot) == :ok
    assert Table.release(snapshot) == :ok
    assert message(fn -> Table.lookup(snapshot, 1) end) =~ "the snapshot was released"
    assert message(fn -> Table.release(table) end) =~ "a table, not a snapshot"
    assert message(fn -> Table.release([snapshot, 17]) end) =~ "17 in the list: neither"

    assert message(fn -> Table.snapshot([table, :no_such]) end) =~
             ":no_such in the list: the table"

    assert message(fn -> Table.snapshot(:no_such) end) =~ "does not refer to an existing table"
  end

  test "it is taken of a thousand tables at once" do
    tables = for key <- 1..1_000, do: filled([:set], 1) |> tap(&Table.insert(&1, {:key, key, 0}))
    {:ok, snapshots} = Table.snapshot(tables)
    Enum.each(tables, &Table.delete/1)
    assert Enum.map(snapshots, &Table.lookup_element(&1, :key, 2)) == Enum.to_list(1..1_000)
    assert Table.release(snapshots) == :ok
    assert message(fn -> Table.snapshot(tables) end) =~ "in the list: the table identifier"
    assert message(fn -> Table.snapshot([hd(tables) | :tail]) end) =~ "1st argument"
  end

  test "who reads it while it is released sees all of it, or fails" do
    table = filled([:ordered_set, :public], 20_000)
    match_spec = [{{:"$1", :_, :_}, [{:<, 0, {:rem, :"$1", 7}}], [:"$1"]}]
    all = length(Table.select(table, match_spec))

    for round <- 1..40 do
      snapshot = snapshot(table)
      # Something is kept for it, or nothing.
      if rem(round, 2) == 0, do: Table.insert(table, {round, "changed", 0})

      readers =
        for function <- [:tab2list, :select, :select_count, :foldl] do
          Task.async(fn -> read_to_the_end(function, snapshot, match_spec) end)
        end

      for _ <- 1..:rand.uniform(20), do: :erlang.yield()
      Table.release(snapshot)
      assert Enum.all?(Task.await_many(readers, 60_000), &(&1 in [20_000, all, :failed]))
    end
  end

  defp read_to_the_end(function, snapshot, match_spec) do
    case function do
      :tab2list ->
        length(Table.tab2list(snapshot))

      :select ->
        length(Table.select(snapshot, match_spec))

      :select_count ->
        Table.select_count(snapshot, put_in(match_spec, [Access.at(0), Access.elem(2)], [true]))

      :foldl ->
        Table.foldl(fn _, count -> count + 1 end, 0, snapshot)
    end
  rescue
    ArgumentError -> :failed
  end

  test "with_snapshot releases it, whatever happens" do
    table = filled([], 10)
    assert is_reference(Table.with_snapshot(table, & &1))
    assert message(fn -> Table.lookup(Table.with_snapshot(table, & &1), 1) end) =~ "was released"
    parent = self()

    catch_throw(
      Table.with_snapshot([table, table], fn snapshots ->
        send(parent, snapshots)
        throw(:ball)
      end)
    )

    assert_receive [one, two]
    for snapshot <- [one, two], do: assert(Table.info(snapshot) == :undefined)
  end

  test "it ends with the process that took it, or that it was given to" do
    table = filled([:public], 10)
    parent = self()

    holder = fn ->
      spawn(fn ->
        send(parent, {self(), snapshot(table)})
        Process.sleep(:infinity)
      end)
    end

    pid = holder.()
    assert_receive {^pid, snapshot}
    assert Table.info(snapshot, :owner) == pid
    assert Table.info(snapshot, :size) == 10
    Process.exit(pid, :kill)
    eventually(fn -> Table.info(snapshot) == :undefined end)

    pid = holder.()
    assert_receive {^pid, _}
    mine = snapshot(table)
    assert Table.give_away(mine, pid, :data)
    assert Table.info(mine, :owner) == pid
    Process.exit(pid, :kill)
    eventually(fn -> Table.info(mine) == :undefined end)
  end

  @tag :vm_memory
  test "it is gone when no process has it any more" do
    table = filled([:public], 50_000)

    taken = fn ->
      snapshot(table) && Table.insert(table, for(key <- 1..50_000, do: {key, :changed, key}))
    end

    Task.async(fn ->
      taken.()
      full = :erlang.memory(:system)
      :erlang.garbage_collect()
      eventually(fn -> full - :erlang.memory(:system) > 1_000_000 end)
    end)
    |> Task.await(60_000)
  end

  test "it outlives its table's owner, a hand-over, and a rename" do
    parent = self()

    owner =
      spawn(fn ->
        table = filled([:named_table, :protected, {:heir, parent, :data}], 100)
        send(parent, {:table, table, Table.info(table, :id)})
        receive do: (:exit -> :ok)
      end)

    assert_receive {:table, name, id}
    snapshot = snapshot(name)
    assert snapshot != id
    send(owner, :exit)
    assert_receive {:"ETS-TRANSFER", ^name, ^owner, :data}
    Table.delete(name, 1)
    Table.rename(name, :snapshots_renamed)
    assert Table.info(snapshot, :size) == 100
    assert Table.lookup(snapshot, 1) == [{1, "value 1", 1}]
    Table.delete(:snapshots_renamed)
    assert Table.info(snapshot, :size) == 100
  end

  test "the rights are those of the table" do
    for protection <- [:public, :protected, :private] do
      table = filled([protection], 10)
      snapshot = snapshot(table)
      elsewhere = fn -> Task.await(Task.async(fn -> member_or_message(snapshot) end)) end

      check = fn
        :private -> assert elsewhere.() =~ "insufficient access rights"
        _ -> assert elsewhere.() == true
      end

      check.(protection)
      assert Table.member(snapshot, 1)
      Table.setopts(table, {:protection, :private})
      check.(:private)
      assert Table.info(snapshot, :protection) == :private
      Table.setopts(table, {:protection, protection})
      Table.delete(table)
      check.(protection)
      assert Table.member(snapshot, 1)
    end

    private = Table.new(:private, [:private])

    assert Task.await(Task.async(fn -> message(fn -> Table.snapshot(private) end) end)) =~
             "access rights"
  end

  defp member_or_message(table) do
    Table.member(table, 1)
  rescue
    error -> Exception.message(error)
  end

  test "a continuation and a stream of it go on in it" do
    table = filled([:ordered_set, :public], 1_000)
    snapshot = snapshot(table)
    {first, continuation} = Table.select(snapshot, [{{:"$1", :_, :_}, [], [:"$1"]}], 400)
    Table.delete_all_objects(table)
    assert first ++ portions(Table.select(continuation)) == Enum.to_list(1..1_000)
    assert Enum.count(Table.stream(snapshot)) == 1_000
  end

  test "tables are kept at one instant, while money is moved between them" do
    tables =
      for type <- @types -- [:bag, :duplicate_bag], _ <- 1..2 do
        table = Table.new(:accounts, [type, :public])
        Table.insert(table, for(key <- 1..3_000, do: {key, 100}))
        table
      end

    total = 3_000 * 100 * length(tables)
    movers = 3

    moving =
      for _ <- 1..movers do
        spawn_link(fn -> move(tables) end)
      end

    for _ <- 1..30 do
      {:ok, snapshots} = Table.snapshot(tables)
      sum = fn -> Enum.sum(for s <- snapshots, do: Table.foldl(&(elem(&1, 1) + &2), 0, s)) end
      assert sum.() in (total - movers)..total
      assert sum.() == sum.()
      Table.release(snapshots)
    end

    Enum.each(moving, &stop/1)
  end

  # Waits for its end, so that it misses no table.
  defp stop(pid) do
    monitor = Process.monitor(pid)
    Process.unlink(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, :process, _pid, :killed}, 30_000
  end

  defp move(tables) do
    Table.update_counter(Enum.random(tables), :rand.uniform(3_000), -1)
    Table.update_counter(Enum.random(tables), :rand.uniform(3_000), 1)
    move(tables)
  end

  @tag :vm_memory
  test "holders and owners that are killed at work leave nothing behind" do
    before = :erlang.memory(:system)
    parent = self()

    for round <- 1..4, type <- [:set, :ordered_set, :duplicate_bag] do
      {owner, owner_monitor} =
        spawn_monitor(fn ->
          table = filled([type, :public], 20_000)
          send(parent, {:table, table})
          for key <- Stream.cycle(1..20_000), do: Table.insert(table, {key, "other", round})
        end)

      assert_receive {:table, table}, 30_000

      holders = for _ <- 1..4, do: spawn_monitor(fn -> hold_again_and_again(table) end)

      for {pid, monitor} <- Enum.shuffle([{owner, owner_monitor} | holders]) do
        for _ <- 1..:rand.uniform(20), do: :erlang.yield()
        Process.exit(pid, :kill)
        assert_receive {:DOWN, ^monitor, :process, ^pid, reason}, 30_000
        assert reason == :killed
      end
    end

    :erlang.garbage_collect()
    eventually(fn -> :erlang.memory(:system) < before + 10_000_000 end)
  end

  defp hold_again_and_again(table) do
    snapshot = snapshot(table)
    size = Table.info(snapshot, :size)
    ^size = Table.foldl(fn _, count -> count + 1 end, 0, snapshot)
    hold_again_and_again(table)
  rescue
    # The table is gone.
    ArgumentError -> Process.sleep(:infinity)
  end

  test "folds, files and lists of dets are of one instant, while lists are inserted" do
    table = Table.new(:lists, [:ordered_set, :public])
    insert = fn version -> Table.insert(table, for(key <- 1..4_000, do: {key, version})) end
    insert.(0)
    writer = spawn_link(fn -> Enum.each(Stream.iterate(1, &(&1 + 1)), insert) end)
    path = Path.join(System.tmp_dir!(), "instant-#{System.unique_integer([:positive])}")

    for _ <- 1..10 do
      assert [_] = Table.foldl(&[elem(&1, 1) | &2], [], table) |> Enum.uniq()
      assert [_] = Table.foldr(&[elem(&1, 1) | &2], [], table) |> Enum.uniq()
      assert Table.tab2file(table, path) == :ok
      assert {:ok, copy} = Table.file2tab(path, verify: true)
      assert [_] = for({_, version} <- Table.tab2list(copy), uniq: true, do: version)
      Table.delete(copy)
    end

    stop(writer)
    File.rm!(path)
  end
end
