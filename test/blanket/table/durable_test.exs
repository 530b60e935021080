defmodule Blanket.Table.DurableTest do
  use ExUnit.Case, async: true

  import Blanket.Test.Eventually
  import Blanket.Files
  import ExUnit.CaptureLog

  alias Blanket.{SmallDisk, Table, Transaction}
  alias Blanket.Table.Durable

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  # Terms of all kinds that a file can have; what is below the key is as deep.
  defp terms do
    large = Map.new(1..100, &{&1, Integer.to_string(&1)})

    [
      0,
      -1,
      255,
      1 <<< 40,
      -(1 <<< 80),
      1.5,
      :atom,
      :größer,
      :日本,
      "binary",
      String.duplicate("long", 100),
      <<1::3>>,
      [],
      [1, 2, 3],
      ~c"characters",
      [:improper | :list],
      {},
      {:a, {:b, "c"}},
      %{},
      %{b: 1, a: [2.5]},
      large,
      self(),
      make_ref(),
      &String.length/1,
      fn -> large end
    ]
  end

  defp sorted(table), do: Enum.sort(Table.tab2list(table))

  defp new(options) do
    path = path()
    {path, Table.new(:durable, [{:durable, path, sync: :manual} | options])}
  end

  defp reopen(table) do
    %{path: path} = Table.info(table, :durable)
    options = [Table.info(table, :type), keypos: Table.info(table, :keypos)]
    Table.delete(table)
    Table.new(:durable, [{:durable, path, sync: :manual} | options])
  end

  for type <- @types do
    test "a #{type} is what it was when it is opened again, with keys and values of all kinds" do
      for compressed <- [[], [:compressed]], keypos <- [1, 2] do
        {_path, table} = new([unquote(type), keypos: keypos] ++ compressed)
        terms = terms()
        for key <- terms, value <- terms, do: Table.insert(table, {key, key, value})
        objects = Table.tab2list(table)
        assert length(objects) >= length(terms)
        reopened = reopen(table)
        assert sorted(reopened) == Enum.sort(objects)

        # The keys are found under what they are.
        for key <- terms, do: Table.delete(reopened, key)
        assert sorted(reopen(reopened)) == []
      end
    end

    test "a #{type} whose keys change again and again is what its file says" do
      {_path, table} = new([unquote(type)])
      :rand.seed(:exsss, ExUnit.configuration()[:seed])

      for round <- 1..20 do
        for _ <- 1..50 do
          key = :rand.uniform(30)

          case :rand.uniform(4) do
            1 -> Table.delete(table, key)
            2 -> Table.insert(table, for(n <- 1..5, do: {key + n, round}))
            3 -> Table.insert(table, {key * 1.0, round})
            4 -> Table.select_delete(table, [{{key, :_}, [], [true]}])
          end
        end

        if :rand.uniform(8) == 1, do: Table.delete_all_objects(table)
        assert Table.flush(table) == :ok
        assert Enum.sort(on_disk(table)) == sorted(table)
      end
    end
  end

  test "bags keep the order in which their objects came, however many" do
    {_path, table} = new([:duplicate_bag])
    numbers = for n <- 1..3_000, do: {:key, rem(n * 7, 1_000)}
    Enum.each(numbers, &Table.insert(table, &1))
    reopened = reopen(table)
    assert Table.lookup(reopened, :key) == numbers
    Table.delete_object(reopened, {:key, 7})
    assert Table.lookup(reopen(reopened), :key) == numbers -- [{:key, 7}, {:key, 7}, {:key, 7}]
  end

  test "keys are the same on disk when they are to the table" do
    maps = [Map.new(1..50, &{&1, :x}), 1..50 |> Enum.reverse() |> Map.new(&{&1, :x})]

    same = [
      {1, 1.0},
      {[1, 2], [1.0, 2.0]},
      {{1, %{a: 1}}, {1.0, %{a: 1.0}}},
      {1 <<< 70, 1.0 * (1 <<< 70)}
    ]

    for {type, count} <- [set: 2, ordered_set: 1], {one, two} <- same do
      {_path, table} = new([type])
      Table.insert(table, {one, 1})
      Table.flush(table)
      Table.insert(table, {two, 2})
      assert Table.info(reopen(table), :size) == count
    end

    {_path, table} = new([])
    for map <- maps, do: Table.insert(table, {map, :value})
    reopened = reopen(table)
    assert Table.tab2list(reopened) == [{hd(maps), :value}]
    Table.delete(reopened, List.last(maps))
    assert Table.tab2list(reopen(reopened)) == []
  end

  test "with sync: :always every call that has returned is on disk" do
    changes = [
      &Table.insert(&1, {:one, 1}),
      &Table.insert(&1, for(n <- 1..1_000, do: {n, n})),
      &Table.insert_new(&1, {:new, 1}),
      &Table.insert_new(&1, for(n <- 2_000..3_000, do: {n, n})),
      &Table.update_counter(&1, :one, 5),
      &Table.update_counter(&1, :other, 5, {:other, 1}),
      &Table.update_element(&1, :one, {2, :element}),
      &Table.compare_and_swap(&1, {:new, 1}, {:new, 2}),
      &Table.update(&1, :swapped, {:swapped, 1}, fn {key, n} -> {key, n + 1} end),
      &Table.delete(&1, :one),
      &Table.take(&1, :other),
      &Table.delete_object(&1, {:new, 2}),
      &Table.delete_many(&1, Enum.to_list(1..50)),
      &Table.select_delete(&1, [{{:"$1", :_}, [{:<, :"$1", 500}], [true]}]),
      &Table.select_delete(&1, [{{:"$1", :"$2"}, [{:<, {:abs, :"$1"}, 600}], [true]}]),
      &Table.match_delete(&1, {700, :_}),
      &Table.select_replace(&1, [{{:"$1", 800}, [], [{{:"$1", :replaced}}]}]),
      fn table -> Blanket.transaction(&Transaction.insert(&1, table, {:committed, 1})) end,
      fn table ->
        Blanket.transaction(fn tx ->
          for n <- 1..500, do: Transaction.insert(tx, table, {{:many, n}, n})
        end)
      end,
      &Table.delete_all_objects(&1)
    ]

    for type <- [:set, :ordered_set] do
      table = Table.new(:always, [type, :public, {:durable, path(), sync: :always}])

      for change <- changes do
        change.(table)
        assert Enum.sort(on_disk(table)) == sorted(table)
      end
    end
  end

  test "answers are those of a table without a file" do
    table = Table.new(:always, [{:durable, path(), sync: :always}])
    assert Table.insert(table, {:a, 1}) == true
    assert Table.insert_new(table, {:a, 1}) == false
    assert Table.update_counter(table, :a, [{2, 1}, {2, 1}]) == [2, 3]
    assert Table.select_replace(table, [{{:a, :"$1"}, [], [{{:a, {:+, :"$1", 1}}}]}]) == 1
    assert Table.take(table, :a) == [{:a, 4}]
    assert Table.update(table, :b, {:b, 1}, & &1) == {:b, 1}
    assert Table.select_delete(table, [{:_, [], [true]}]) == 1
    assert Blanket.transaction(&Transaction.insert(&1, table, {:c, 1})) == {:ok, true}
  end

  test "many processes share one write" do
    table = Table.new(:always, [:public, {:durable, path(), sync: :always}])

    writers =
      for n <- 1..50, do: Task.async(fn -> for m <- 1..20, do: Table.insert(table, {{n, m}}) end)

    Task.await_many(writers, :infinity)
    assert length(on_disk(table)) == 1_000
  end

  test "with an interval changes are written by and by, with sync: :manual when somebody asks" do
    table = Table.new(:interval, [{:durable, path(), sync: {:interval, 5}}])
    Table.insert(table, {1})
    eventually(fn -> on_disk(table) == [{1}] end)

    {_path, table} = new([])
    Table.insert(table, {1})
    assert on_disk(table) == []
    assert Table.flush(table) == :ok
    assert on_disk(table) == [{1}]
    assert Table.flush(Table.new(:plain, [])) == :ok
  end

  test "a table is written when it is deleted, and when its owner exits" do
    path = path()

    {owner, monitor} =
      spawn_monitor(fn ->
        table = Table.new(:owned, [{:durable, path, sync: :manual}])
        Table.insert(table, for(n <- 1..1_000, do: {n}))
      end)

    assert_receive {:DOWN, ^monitor, :process, ^owner, :normal}, 60_000
    table = Table.new(:owned, [{:durable, path}])
    assert Table.info(table, :size) == 1_000
    Table.insert(table, {:more})
    Table.delete(table)
    assert {:ok, %{objects: 1_001}} = Table.verify(path)
  end

  test "a table is deleted while others go on writing to it" do
    for sync <- [{:interval, 1}, :always] do
      path = path()
      table = Table.new(:busy, [:public, {:durable, path, sync: sync}])
      writers = for n <- 1..4, do: Task.async(fn -> write_until_deleted(table, n, 1) end)
      eventually(fn -> Table.info(table, :size) > 100 end)
      assert Table.delete(table) == true
      written = Task.await_many(writers, :infinity)
      reopened = Table.new(:reopened, [{:durable, path}])

      # What a call with sync: :always has returned of is there.
      if sync == :always do
        for {n, last} <- Enum.with_index(written, &{&2 + 1, &1}),
            m <- 1..last//1,
            do: assert(Table.member(reopened, {n, rem(m, 1_000)}))
      end

      Table.delete(reopened)
    end
  end

  test "keys as deep as can be are written and found again" do
    {_path, table} = new([:ordered_set])
    list = Enum.reduce(1..100_000, :end, fn _, term -> [term] end)
    tuple = Enum.reduce(1..100_000, 1, fn _, term -> {term} end)
    Table.insert(table, [{tuple, 1}, {list, 2}])
    reopened = reopen(table)
    assert Table.lookup(reopened, tuple) == [{tuple, 1}]
    Table.delete(reopened, tuple)
    assert Table.info(reopen(reopened), :size) == 1
  end

  test "when the last changes cannot be written and nobody is there to be told, the log is" do
    path = path()
    me = self()

    log =
      capture_log(fn ->
        {owner, monitor} =
          spawn_monitor(fn ->
            table = Table.new(:lost, [{:durable, path, sync: :manual}])
            File.rename!(path, path <> ".moved")
            Table.insert(table, {1})
            send(me, {:table, table})
          end)

        assert_receive {:table, table}, 60_000
        assert_receive {:DOWN, ^monitor, :process, ^owner, :normal}, 60_000
        assert Table.info(table) == :undefined
        Durable.await_close(path <> ".moved")
        :sys.get_state(Blanket.Events)
      end)

    assert log =~ "#{path} could not be written: it was moved or deleted"
  end

  test "a kept table goes from owner to owner with its file, and is claimed with what it has" do
    path = path()
    ref = make_ref()
    create = fn -> {:ok, Table.new(:kept, [{:durable, path, sync: :always}])} end
    {:ok, table} = Blanket.claim_table(ref, create_table: create)
    Table.insert(table, {1})
    Table.delete(table)
    {:ok, table} = Blanket.claim_table(ref, create_table: {:kept, [{:durable, path}]})
    assert Table.tab2list(table) == [{1}]
    Table.delete(table)
  end

  test "what cannot be opened says why" do
    {path, table} = new([:bag])
    message = fn options -> message(fn -> Table.new(:other, options) end) end
    assert message.([:bag, {:durable, path}]) =~ "has it open"
    Table.delete(table)
    assert message.([{:durable, path}]) =~ "of the type :bag with the key position 1"

    assert message.([:bag, {:keypos, 2}, {:durable, path}]) =~
             "of the type :bag with the key position 1"

    assert message.([{:durable, "/no/such/folder/file"}]) =~ "no such file or directory"
    assert message.([{:durable, Path.dirname(path)}]) =~ "illegal operation on a directory"
    assert message.([{:durable, "/proc/file"}]) =~ "cannot be opened"

    File.write!(
      path,
      "something else altogether, and long enough for a header" |> String.duplicate(100)
    )

    assert message.([{:durable, path}]) =~ "no durable table's file"

    for wrong <- [1, "", "nul\0", :atom, [], [:atom], [0xD800], [?a | :improper]] do
      assert message.([{:durable, wrong}]) =~ "not a valid option"

      for {function, args, position} <- [
            {:verify, [wrong], "1st"},
            {:restore, [wrong, path], "1st"},
            {:restore, [path, wrong], "2nd"},
            {:backup, [Table.new(:table, []), wrong], "2nd"}
          ] do
        assert_raise ArgumentError, ~r/#{position} argument: not a file's path/, fn ->
          apply(Table, function, args)
        end
      end
    end

    for wrong <- [[:sync], [sync: :never], [sync: {:interval, 0}], [progress: 1], :always],
        do: assert(message.([{:durable, path, wrong}]) =~ ~r"not a valid option: .*sync: :always")
  end

  test "a file that was altered is not opened, copied or taken for right" do
    {path, table} = new([])
    Table.insert(table, for(n <- 1..20_000, do: {n, "value #{n}"}))
    Table.delete(table)
    whole = File.read!(path)

    for at <- [byte_size(whole) |> div(3), byte_size(whole) |> div(2)] do
      before = binary_part(whole, 0, at)
      rest = binary_part(whole, at + 4096, byte_size(whole) - at - 4096)
      File.write!(path, [before, :binary.copy(<<165>>, 4096), rest])
      assert {:error, {:damaged, _}} = Table.verify(path)
      assert {:error, {:damaged, _}} = Table.restore(path, path <> ".restored")
      refute File.exists?(path <> ".restored")

      assert message(fn -> Table.new(:damaged, [{:durable, path}]) end) =~
               "not what was written there"
    end

    for size <- [0, 100, 5_000, div(byte_size(whole), 2)] do
      File.write!(path, binary_part(whole, 0, size))
      assert {:error, _} = Table.verify(path)
    end

    File.write!(path, whole)
    assert {:ok, %{objects: 20_000}} = Table.verify(path)
  end

  test "a table whose file is gone can be read, and written when it is there again" do
    for sync <- [:always, {:interval, 5}] do
      path = path()
      table = Table.new(:moved, [{:durable, path, sync: sync}])
      Table.insert(table, {1})
      assert Table.flush(table) == :ok
      File.rename!(path, path <> ".moved")

      if sync == :always do
        assert message(fn -> Table.insert(table, {2}) end) =~ "moved or deleted"
      else
        Table.insert(table, {2})
        assert Table.flush(table) == {:error, :moved_or_deleted}
      end

      assert %{state: {:error, :moved_or_deleted}} = Table.info(table, :durable)
      assert message(fn -> Table.insert(table, {3}) end) =~ "moved or deleted"
      commit = fn -> Blanket.transaction(&Transaction.insert(&1, table, {3})) end
      assert message(commit) =~ "moved or deleted"
      assert message(fn -> Table.delete(table) end) =~ "moved or deleted"
      assert sorted(table) == [{1}, {2}]
      File.rename!(path <> ".moved", path)
      assert Table.flush(table) == :ok
      Table.insert(table, {4})
      assert Table.flush(table) == :ok
      assert Enum.sort(on_disk(table)) == [{1}, {2}, {4}]
    end
  end

  # Elsewhere the file that is gone has to do, above.
  if SmallDisk.possible?() do
    test "a table whose disk is full can be read, and written when there is room again" do
      folder = Path.dirname(path())
      SmallDisk.make(folder)
      path = Path.join(folder, "table")
      object = fn n -> {n, :binary.copy(<<n>>, 10_000)} end

      for sync <- [:always, {:interval, 1}] do
        table = Table.new(:full, [:public, {:durable, path, sync: sync}])
        message = fill(table, object, 1)
        assert message =~ "no space left on device"
        size = Table.info(table, :size)
        objects = sorted(table)
        assert Table.flush(table) == {:error, :enospc}
        assert %{state: {:error, :enospc}} = Table.info(table, :durable)
        assert message(fn -> Table.insert(table, {:more}) end) =~ "no space left on device"
        assert message(fn -> Table.delete_all_objects(table) end) =~ "no space left on device"
        assert sorted(table) == objects
        assert Table.backup(table, path() <> ".backup") == {:ok, size}
        SmallDisk.change(folder, "size=64m")
        assert Table.flush(table) == :ok
        assert Table.insert(table, {:more})
        assert Table.flush(table) == :ok
        assert length(on_disk(table)) == size + 1
        Table.delete(table)
        assert {:ok, %{objects: objects}} = Table.verify(path)
        assert objects == size + 1
        File.rm!(path)
        SmallDisk.change(folder, "size=4m")
      end
    end

    test "a folder that cannot be written has no table, and no file" do
      folder = Path.dirname(path())
      SmallDisk.make(folder)
      path = Path.join(folder, "table")
      Table.delete(Table.new(:there, [{:durable, path}]))
      SmallDisk.change(folder, "ro")
      new = fn path -> Table.new(:read_only, [{:durable, path}]) end
      assert message(fn -> new.(path) end) =~ "read-only file system"
      assert message(fn -> new.(path <> ".new") end) =~ "read-only file system"
      assert File.ls!(folder) == ["table"]
    end
  end

  defp fill(table, object, n) do
    Table.insert(table, object.(rem(n, 256)) |> put_elem(0, n))
    fill(table, object, n + 1)
  rescue
    error in ArgumentError -> Exception.message(error)
  end

  test "progress is told while a table is read, and a function that fails leaves the file free" do
    {path, table} = new([])
    Table.insert(table, for(n <- 1..20_000, do: {n, "value"}))
    Table.delete(table)
    me = self()
    progress = fn loaded, keys -> send(me, {:progress, loaded, keys}) end
    table = Table.new(:read, [{:durable, path, progress: progress}])
    assert_received {:progress, some, 20_000} when some < 20_000
    assert_received {:progress, 20_000, 20_000}
    Table.delete(table)
    fail = fn _loaded, _keys -> throw(:enough) end
    assert catch_throw(Table.new(:read, [{:durable, path, progress: fail}])) == :enough
    assert Table.info(Table.new(:read, [{:durable, path}]), :size) == 20_000
  end

  test "reading is told as it goes on, and when it is done" do
    {path, table} = new([])
    Table.insert(table, for(n <- 1..20_000, do: {n, "value"}))
    Table.delete(table)
    :telemetry.attach(path)
    table = Table.new(:read, [{:durable, path}])
    assert_received {[:blanket, :table, :loading], %{loaded: some, keys: 20_000}, %{path: ^path}}
    assert some < 20_000
    assert_received {[:blanket, :table, :loaded], figures, %{path: ^path, table: ^table}}
    assert %{keys: 20_000, duration: duration} = figures
    assert duration > 0
  end

  test "a reader that is killed leaves the file free" do
    {path, table} = new([])
    Table.insert(table, for(n <- 1..20_000, do: {n, "value"}))
    Table.delete(table)
    me = self()

    wait = fn _loaded, _keys ->
      send(me, :reading)
      Process.sleep(:infinity)
    end

    reader = spawn(fn -> Table.new(:read, [{:durable, path, progress: wait}]) end)
    assert_receive :reading, 60_000
    Process.exit(reader, :kill)
    eventually(fn -> match?({:ok, _}, Table.verify(path)) end)
  end

  test "a backup is a table at one instant while it is being changed" do
    {path, table} = new([:public])
    Table.insert(table, for(n <- 1..5_000, do: {n, 0}))

    writer =
      Task.async(fn ->
        for round <- 1..200, do: Table.insert(table, for(n <- 1..5_000//50, do: {n, round}))
      end)

    for number <- 1..5 do
      backup = "#{path}.#{number}"
      assert Table.backup(table, backup) == {:ok, 5_000}
      assert Table.backup(table, backup) == {:error, :eexist}
      copy = Table.new(:copy, [{:durable, backup}])
      assert Table.info(copy, :size) == 5_000
      rounds = for {n, round} <- Table.tab2list(copy), rem(n, 50) == 1, uniq: true, do: round
      assert [_] = rounds
    end

    Task.await(writer, :infinity)
  end

  test "backups of tables without a file, and of bags with many objects of one key" do
    for type <- @types do
      table = Table.new(:plain, [type])
      for n <- 1..500, do: Table.insert(table, [{n, n}, {:same, n}])
      [backup, copy] = for name <- ["backup", "copy"], do: path(name)
      assert Table.backup(table, backup) == {:ok, Table.info(table, :size)}
      assert Table.restore(backup, copy) == :ok
      assert Table.restore(backup, copy) == {:error, :eexist}
      restored = Table.new(:restored, [type, {:durable, copy}])
      assert sorted(restored) == sorted(table)
      assert Table.lookup(restored, :same) == Table.lookup(table, :same)
      assert Table.backup(table, "/no/such/folder/file") == {:error, :enoent}
    end
  end

  test "snapshots and folds of a durable table end without a trace" do
    {_path, table} = new([])
    Table.insert(table, for(n <- 1..100, do: {n}))
    Table.flush(table)
    {:ok, snapshot} = Table.snapshot(table)
    Table.release(snapshot)
    assert Table.foldl(fn _, count -> count + 1 end, 0, table) == 100

    assert Blanket.transaction(&length(Transaction.select(&1, table, [{:_, [], [:"$_"]}]))) ==
             {:ok, 100}

    assert Table.flush(table) == :ok
    assert length(on_disk(table)) == 100
  end

  test "a name that is taken leaves the file free" do
    name = :"durable #{System.unique_integer()}"
    path = path()
    Table.new(name, [:named_table])
    assert catch_error(Table.new(name, [:named_table, {:durable, path}])) == :badarg
    assert Table.info(Table.new(:free, [{:durable, path}]), :size) == 0
  end

  defp write_until_deleted(table, n, m) do
    Table.insert(table, {{n, rem(m, 1_000)}})
  rescue
    ArgumentError -> m - 1
  else
    true -> write_until_deleted(table, n, m + 1)
  end

  defp message(fun), do: Exception.message(assert_raise(ArgumentError, fun))

  defp one <<< two, do: Bitwise.bsl(one, two)
end
