defmodule Blanket.Table.FileTest do
  use ExUnit.Case, async: true

  alias Blanket.{Table, Terms}
  alias Blanket.Test.Counter

  @types [:set, :ordered_set, :bag, :duplicate_bag]
  @extended_infos [[], [:object_count], [:md5sum], [:object_count, :md5sum]]

  setup do
    directory =
      Path.join(System.tmp_dir!(), "blanket_files_#{System.unique_integer([:positive])}")

    File.mkdir!(directory)
    on_exit(fn -> File.rm_rf!(directory) end)
    %{path: directory |> Path.join("table.tab") |> String.to_charlist()}
  end

  # Terms of the kinds that a file keeps, under many keys and several under one.
  defp objects do
    kept = Terms.numbers() ++ Enum.reject(Terms.others(), &is_port/1)

    for({term, i} <- Enum.with_index(kept), do: {term, i, term}) ++
      for(i <- 1..1000, j <- 1..2, do: {{:key, i}, j, "value"})
  end

  defp filled(module, type, options \\ []) do
    table = module.new(:saved, [type | options])
    module.insert(table, objects())
    table
  end

  defp contents(module, table), do: Enum.sort(module.tab2list(table))

  defp message(fun), do: assert_raise(ArgumentError, fun) |> Exception.message()

  for type <- @types, extended_info <- @extended_infos do
    @tag type: type, extended_info: extended_info
    test "a #{type} with #{inspect(extended_info)} goes to files and back, to :ets and from it",
         %{type: type, extended_info: extended_info, path: path} do
      for writer <- [Table, :ets], reader <- [Table, :ets], verify <- [true, false] do
        table = filled(writer, type, [:public, write_concurrency: true, read_concurrency: true])

        assert writer.tab2file(table, path, extended_info: extended_info, sync: true) == :ok
        assert reader.tabfile_info(path) == :ets.tabfile_info(path)
        assert {:ok, copy} = reader.file2tab(path, verify: verify)

        assert contents(reader, copy) === contents(writer, table)

        for item <- [
              :name,
              :type,
              :keypos,
              :protection,
              :size,
              :read_concurrency,
              :write_concurrency
            ],
            do: assert(reader.info(copy, item) == writer.info(table, item))

        assert reader.info(copy, :owner) == self()
      end
    end
  end

  test "a bag keeps the order of the objects of a key", %{path: path} do
    table = Table.new(:saved, [:duplicate_bag])
    for i <- 1..500, do: Table.insert(table, [{:a, i}, {rem(i, 7), i}])
    Table.tab2file(table, path)
    {:ok, copy} = Table.file2tab(path)

    for key <- [:a | Enum.to_list(0..6)],
        do: assert(Table.lookup(copy, key) == Table.lookup(table, key))
  end

  test "names, key positions and protection come back", %{path: path} do
    table = Table.new(:blanket_saved, [:named_table, :private, :bag, keypos: 3, heir: :immortal])
    Table.insert(table, {1, 2, 3})
    Table.tab2file(table, path)
    assert Table.file2tab(path) == {:error, :cannot_create_table}
    Table.delete(table)

    assert Table.file2tab(path) == {:ok, :blanket_saved}
    info = Table.info(:blanket_saved)
    assert {info[:keypos], info[:protection], info[:heir]} == {3, :private, :none}
    assert Table.lookup(:blanket_saved, 3) == [{1, 2, 3}]
  end

  test "files are named by strings, charlists and atoms", %{path: path} do
    table = filled(Table, :set)

    for name <- [path, List.to_string(path), List.to_atom(path)] do
      assert Table.tab2file(table, name) == :ok
      assert {:ok, _} = Table.file2tab(name)
      assert {:ok, _} = Table.tabfile_info(name)
    end
  end

  test "an empty table and one of a single key are written whole", %{path: path} do
    for objects <- [[], for(i <- 1..10_000, do: {:key, i})], extended_info <- @extended_infos do
      table = Table.new(:saved, [:duplicate_bag])
      Table.insert(table, objects)
      assert Table.tab2file(table, path, extended_info: extended_info) == :ok
      assert {:ok, copy} = Table.file2tab(path, verify: true)
      assert Table.tab2list(copy) == objects
      assert {:ok, copy} = :ets.file2tab(path, verify: true)
      assert :ets.tab2list(copy) == objects
    end
  end

  test "what is there throughout is in the file, while others write", %{path: path} do
    table = Table.new(:saved, [:public])
    Table.insert(table, for(i <- 1..20_000, do: {i, i}))

    writer =
      spawn_link(fn ->
        Stream.iterate(1, &(&1 + 1))
        |> Enum.each(fn i ->
          Table.insert(table, {{:new, i}, i})
          Table.delete(table, {:new, i - 20_000})
        end)
      end)

    assert Table.tab2file(table, path, extended_info: [:object_count, :md5sum]) == :ok
    Counter.kill(writer)

    assert {:ok, copy} = Table.file2tab(path, verify: true)
    assert Enum.all?(1..20_000, &(Table.lookup(copy, &1) == [{&1, &1}]))
  end

  describe "a damaged file" do
    setup %{path: path} do
      for {module, table} <- [{Table, filled(Table, :set)}, {:ets, filled(:ets, :set)}],
          extended_info <- @extended_infos do
        name = ~c"#{path}_#{module}_#{Enum.join(extended_info)}"
        :ok = module.tab2file(table, name, extended_info: extended_info)
        name
      end
      |> then(&%{paths: &1})
    end

    test "is an error where it is verified and :ets finds one", %{paths: paths} do
      for path <- paths do
        whole = File.read!(path)
        checked? = String.ends_with?(List.to_string(path), "md5sum")

        for at <- [byte_size(whole) - 30, div(byte_size(whole), 2), 500] do
          {before, <<byte, rest::binary>>} = split(whole, at)
          File.write!(path, [before, Bitwise.bxor(byte, 255), rest])
          verified = verified(Table, path)
          assert verified == verified(:ets, path)
          if checked?, do: assert({:error, _} = verified)
        end

        for length <- [byte_size(whole) - 1, div(byte_size(whole), 2), 600, 100, 10, 0] do
          File.write!(path, binary_part(whole, 0, length))
          assert {:error, _} = verified = verified(Table, path)
          assert verified == verified(:ets, path)
        end
      end

      # Nothing is left but the table that was written.
      assert [_] = for(t <- Table.all(), Table.info(t, :owner) == self(), do: t)
    end

    defp split(whole, at),
      do: {binary_part(whole, 0, at), binary_part(whole, at, byte_size(whole) - at)}

    defp verified(module, path) do
      with {:ok, table} <- module.file2tab(path, verify: true) do
        contents = contents(module, table)
        module.delete(table)
        {:ok, contents}
      end
    catch
      # What :ets does about terms that are no objects.
      :error, :badarg when module == :ets -> {:error, :badfile}
    end

    test "gives what is whole where it is not", %{paths: paths} do
      for path <- paths do
        whole = File.read!(path)
        File.write!(path, binary_part(whole, 0, div(byte_size(whole), 2)))
        assert {:ok, table} = Table.file2tab(path)
        assert {:ok, reference} = :ets.file2tab(path)
        assert contents(Table, table) === contents(:ets, reference)
        assert Table.info(table, :size) > 0
      end
    end
  end

  test "a count or a checksum that is not right is an error", %{path: path} do
    object = {1, 1}

    facts = [
      name: :saved,
      type: :set,
      protection: :public,
      named_table: false,
      keypos: 1,
      size: 1
    ]

    write = fn extended_info, facts, last ->
      header = List.to_tuple(facts ++ [extended_info: extended_info, major_version: 1])
      {:ok, log} = :disk_log.open(name: make_ref(), file: path)
      :disk_log.truncate(log)
      :ok = :disk_log.log_terms(log, [header, object | last])
      :disk_log.close(log)
      for module <- [Table, :ets], do: elem(module.file2tab(path, verify: true), 1)
    end

    assert [reference, other] = write.([], facts, [])
    assert is_reference(reference) and is_reference(other)

    assert write.([], Keyword.put(facts, :size, 2), []) ==
             [:invalid_object_count, :invalid_object_count]

    assert write.([:object_count], facts, [[:"$end_of_table", [count: 2]]]) ==
             [:invalid_object_count, :invalid_object_count]

    assert write.([:md5sum], facts, [[:"$end_of_table", [md5: "0123456789abcdef"]]]) ==
             [:checksum_error, :checksum_error]

    assert [:badfile, :badfile] = write.([], Keyword.delete(facts, :type), [])

    assert [:cannot_create_table, :cannot_create_table] =
             write.([], Keyword.put(facts, :type, :tree), [])
  end

  test "objects that do not fit their header are an error", %{path: path} do
    header =
      {{:name, :saved}, {:type, :set}, {:protection, :public}, {:named_table, false},
       {:keypos, 3}, {:size, 1}}

    {:ok, log} = :disk_log.open(name: make_ref(), file: path)
    :ok = :disk_log.log_terms(log, [header, {1, 2}])
    :disk_log.close(log)
    assert Table.file2tab(path) == {:error, :badfile}
  end

  test "a header of other terms than there ought to be is an error", %{path: path} do
    facts = [name: :saved, protection: :public, named_table: false, keypos: 1, size: 1]

    for {other, reason} <- [
          {[type: :set, extended_info: :md5sum], :badfile},
          {[type: :set, extended_info: [:md5sum | :md5sum]], :badfile},
          {[type: {:heir, :immortal}], :cannot_create_table},
          {[type: :set, binary: :no_binary, extended_info: [:md5sum]], :badfile}
        ] do
      {:ok, log} = :disk_log.open(name: make_ref(), file: path)
      :disk_log.truncate(log)
      :ok = :disk_log.log_terms(log, [List.to_tuple(facts ++ other), {1}])
      :disk_log.close(log)
      assert Table.file2tab(path, verify: true) == {:error, reason}
    end
  end

  test "a file of another kind is none of ours", %{path: path} do
    assert Table.file2tab(path) == :ets.file2tab(path)
    assert Table.tabfile_info(path) == :ets.tabfile_info(path)

    File.write!(path, "any text")
    assert Table.file2tab(path) == :ets.file2tab(path)
    assert Table.tabfile_info(path) == :ets.tabfile_info(path)

    {:ok, log} = :disk_log.open(name: make_ref(), file: path, repair: :truncate)
    :disk_log.log(log, {:some, :term})
    :disk_log.close(log)
    assert Table.file2tab(path) == {:error, :badfile}
    assert Table.tabfile_info(path) == {:error, :badfile}
  end

  test "bad options are told as by :ets, and nothing is written", %{path: path} do
    table = filled(Table, :set)
    reference = filled(:ets, :set)

    for options <- [
          [:fast],
          [extended_info: [:size]],
          [extended_info: :md5sum],
          [extended_info: [], extended_info: []],
          [{:sync, 1}],
          [{:sync, true} | :sync]
        ] do
      assert {:error, reason} = Table.tab2file(table, path, options)
      assert :ets.tab2file(reference, path, options) == {:error, reason}
      refute File.exists?(path)
    end

    for options <- [[:fast], [verify: 1], :verify, [{:verify, true} | :verify]] do
      assert {:error, reason} = Table.file2tab(path, options)
      assert :ets.file2tab(path, options) == {:error, reason}
    end
  end

  test "a table that cannot be read leaves an older file alone", %{path: path} do
    table = filled(Table, :set, [:private])
    Table.tab2file(table, path)
    older = File.read!(path)

    Task.await(
      Task.async(fn ->
        assert message(fn -> Table.tab2file(table, path) end) =~ "private"
      end)
    )

    assert Table.tab2file(:no_such_table, path) == {:error, :badtab}
    assert message(fn -> Table.tab2file(17, path) end) =~ "1st argument"
    assert File.read!(path) == older
    assert Table.tab2file(table, Path.dirname(path)) == {:error, :eaccess}
    assert {:error, {:file_error, _, :enoent}} = Table.tab2file(table, "/no/such/directory/file")
  end

  describe "a dets table" do
    setup %{path: path} do
      %{
        dets: fn type, keypos ->
          {:ok, dets} =
            :dets.open_file(make_ref(),
              file: ~c"#{path}_#{type}_#{keypos}",
              type: type,
              keypos: keypos
            )

          on_exit(fn -> :dets.close(dets) end)
          dets
        end
      }
    end

    test "is filled from a table, and fills one", %{dets: open} do
      for type <- [:set, :bag, :duplicate_bag] do
        dets = open.(type, 1)
        :dets.insert(dets, {:old, 1})
        table = Table.new(:table, [:private, type])
        Table.insert(table, for(i <- 1..1000, j <- 1..2, do: {i, j}))

        assert Table.to_dets(table, dets) == dets
        assert Enum.sort(:dets.match_object(dets, :_)) == contents(Table, table)

        copy = Table.new(:copy, [type])
        Table.insert(copy, {:own, 1})
        assert Table.from_dets(copy, dets) == true
        assert contents(Table, copy) == contents(Table, table) ++ [{:own, 1}]
      end
    end

    test "has to be open, and the objects to fit", %{dets: open} do
      table = Table.new(:table, [])
      Table.insert(table, {1})
      dets = open.(:set, 2)
      :dets.insert(dets, {1, 2})
      wide = Table.new(:table, keypos: 3)

      for {function, table, dets, text} <- [
            {:from_dets, table, :not_open, "2nd argument: not an open dets table"},
            {:to_dets, table, :not_open, "2nd argument: not an open dets table"},
            {:from_dets, :none_such, dets, "1st argument"},
            {:to_dets, :none_such, dets, "1st argument"},
            {:from_dets, wide, dets, "2nd argument: not an open dets table, or one whose"},
            {:to_dets, table, dets, "2nd argument: not an open dets table, or one whose"}
          ] do
        assert message(fn -> apply(Table, function, [table, dets]) end) =~ text
      end
    end

    test "is for those who may", %{dets: open} do
      dets = open.(:set, 1)
      table = Table.new(:table, [:private])

      Task.await(
        Task.async(fn ->
          assert message(fn -> Table.to_dets(table, dets) end) =~ "private"
          assert message(fn -> Table.from_dets(table, dets) end) =~ "private"
        end)
      )
    end
  end
end
