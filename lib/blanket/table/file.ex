defmodule Blanket.Table.File do
  @moduledoc false

  # Tables in files, in the format of :ets.tab2file/3: a disk_log whose first term is a tuple of what is
  # known of the table, and whose others are its objects, in portions. With extended info a last one,
  # [:"$end_of_table", facts], follows. Where that has a checksum, it is the MD5 of all terms before it
  # as they stand in the file.

  alias Blanket.{Native, Table}
  alias Blanket.Table.{Options, Snapshot}

  @version {1, 0}
  @portion 100
  @needed [:name, :type, :protection, :named_table, :keypos, :size]

  ## Write

  @spec write(Table.table(), Path.t(), list) :: :ok | {:error, term}
  def write(table, path, options) do
    with {:ok, options} <- read_write_options(options),
         {:ok, facts} <- facts(table) do
      # Fails where the table may not be read, before an older file is gone.
      Snapshot.of(table, &write_snapshot(&1, header(facts, &1, options), path, options))
    end
  end

  defp write_snapshot(snapshot, header, path, options) do
    with {:ok, log} <- create(path) do
      try do
        write_table(log, snapshot, header, options)
      catch
        kind, reason ->
          abandon(log, path)
          :erlang.raise(kind, reason, __STACKTRACE__)
      else
        :ok ->
          :disk_log.close(log)

        error ->
          abandon(log, path)
          error
      end
    end
  end

  defp read_write_options(options),
    do: read_write_options(options, %{extended_info: nil, sync: false})

  defp read_write_options([{:sync, true} | rest], options),
    do: read_write_options(rest, %{options | sync: true})

  defp read_write_options([{:sync, false} | rest], options), do: read_write_options(rest, options)

  defp read_write_options([{:extended_info, items} | rest], %{extended_info: nil} = options) do
    with :ok <- check_extended_info(items),
         do: read_write_options(rest, %{options | extended_info: items})
  end

  defp read_write_options([], options),
    do: {:ok, %{options | extended_info: options.extended_info || []}}

  defp read_write_options([option | _rest], _options), do: {:error, {:unknown_option, option}}
  defp read_write_options(options, _options), do: {:error, {:malformed_option, options}}

  defp check_extended_info([item | items]) when item in [:object_count, :md5sum],
    do: check_extended_info(items)

  defp check_extended_info([]), do: :ok
  defp check_extended_info([item | _]), do: {:error, {:unknown_option, [extended_info: [item]]}}
  defp check_extended_info(items), do: {:error, {:malformed_option, items}}

  defp facts(table) do
    case Table.info(table) do
      :undefined -> {:error, :badtab}
      facts -> {:ok, facts}
    end
  end

  defp header(facts, snapshot, options) do
    {major, minor} = @version
    extended_info = for item <- [:object_count, :md5sum], item in options.extended_info, do: item
    facts = Keyword.replace!(facts, :size, Native.count(snapshot))
    version = [major_version: major, minor_version: minor, extended_info: extended_info]
    List.to_tuple(facts ++ version)
  end

  defp create(path) do
    path = charlist(path)
    _ = :file.delete(path)

    case :file.read_file_info(path) do
      {:error, :enoent} -> :disk_log.open(name: make_ref(), file: path)
      _in_the_way -> {:error, :eaccess}
    end
  end

  defp abandon(log, path) do
    _ = :disk_log.close(log)
    _ = :file.delete(charlist(path))
  end

  defp write_table(log, snapshot, header, options) do
    first = Native.scan(snapshot, :start)
    md5 = if :md5sum in options.extended_info, do: :erlang.md5_init()

    with {:ok, md5} <- append(log, [header], md5),
         {:ok, md5, count} <- write_objects(log, first, snapshot, md5, 0),
         {:ok, _md5} <- append(log, last_term(options.extended_info, md5, count), md5) do
      if options.sync, do: :disk_log.sync(log), else: :ok
    end
  end

  defp write_objects(log, {objects, next}, snapshot, md5, count) do
    with {:ok, md5} <- append(log, objects, md5) do
      count = count + length(objects)

      case next do
        :"$end_of_table" -> {:ok, md5, count}
        cursor -> write_objects(log, Native.scan(snapshot, cursor), snapshot, md5, count)
      end
    end
  end

  defp append(_log, [], md5), do: {:ok, md5}
  defp append(log, terms, nil), do: with(:ok <- :disk_log.log_terms(log, terms), do: {:ok, nil})

  defp append(log, terms, md5) do
    binaries = Enum.map(terms, &:erlang.term_to_binary/1)

    with :ok <- :disk_log.blog_terms(log, binaries),
         do: {:ok, Enum.reduce(binaries, md5, &:erlang.md5_update(&2, &1))}
  end

  defp last_term([], _md5, _count), do: []

  defp last_term(extended_info, md5, count) do
    count = if :object_count in extended_info, do: [count: count], else: []
    md5 = if :md5sum in extended_info, do: [md5: :erlang.md5_final(md5)], else: []
    [[:"$end_of_table", count ++ md5]]
  end

  ## Read

  @spec read(Path.t(), list) :: {:ok, Table.table()} | {:error, term}
  def read(path, options) do
    with {:ok, options} <- read_read_options(options, %{verify: false, table: nil}) do
      in_log(path, options.verify, fn log, header, position ->
        with {:ok, table} <- table_for(header, options.table) do
          case fill(table, log, header, position, options.verify) do
            :ok ->
              {:ok, table}

            {:error, reason} ->
              if options.table == nil, do: Table.delete(table)
              {:error, reason}
          end
        end
      end)
    end
  end

  @spec info(Path.t()) :: {:ok, keyword} | {:error, term}
  def info(path) do
    in_log(path, false, fn _log, header, _position ->
      facts = for item <- @needed, do: {item, header[item]}
      {:ok, facts ++ [extended_info: header.extended_info, version: version(header)]}
    end)
  end

  defp read_read_options([{:verify, true} | rest], options),
    do: read_read_options(rest, %{options | verify: true})

  defp read_read_options([{:verify, false} | rest], options), do: read_read_options(rest, options)

  defp read_read_options([{:table, table} | rest], %{table: nil} = options),
    do: read_read_options(rest, %{options | table: table})

  defp read_read_options([], options), do: {:ok, options}
  defp read_read_options([option | _], _options), do: {:error, {:unknown_option, option}}
  defp read_read_options(options, _options), do: {:error, {:malformed_option, options}}

  # Runs `fun` on a log that is open, its header, and the position behind that.
  defp in_log(path, verify?, fun) do
    case :disk_log.open(name: make_ref(), file: charlist(path), mode: :read_only) do
      {:ok, log} -> in_open_log(log, verify?, fun)
      {:repaired, log, _, _} -> in_open_log(log, verify?, fun)
      {:error, reason} -> {:error, {:read_error, reason}}
    end
  end

  defp in_open_log(log, verify?, fun) do
    with {:ok, position, [binary]} <- portion(log, :start, 1, verify?),
         {:ok, header} <- read_header(binary) do
      fun.(log, header, position)
    else
      {:error, reason} -> {:error, reason}
      _no_header -> {:error, :badfile}
    end
  after
    :disk_log.close(log)
  end

  defp read_header(binary) do
    with {:ok, tuple} when is_tuple(tuple) <- decode(binary),
         facts = for({_item, _fact} = fact <- Tuple.to_list(tuple), do: fact),
         header = facts |> Enum.reverse() |> Map.new(),
         true <- Enum.all?(@needed, &is_map_key(header, &1)),
         info = Map.get(header, :extended_info, []),
         true <- is_list(info) and not List.improper?(info) do
      {:ok, Map.merge(header, %{extended_info: info, binary: binary})}
    else
      _ -> {:error, :badfile}
    end
  end

  defp version(header),
    do: {Map.get(header, :major_version, 0), Map.get(header, :minor_version, 0)}

  # {:ok, next_position, binaries}, or :eof. Damaged parts are left out, unless that is to be an error.
  defp portion(log, position, count, verify?) do
    case :disk_log.bchunk(log, position, count) do
      {_position, _binaries, damaged} when verify? and damaged > 0 -> {:error, :badfile}
      {position, binaries, _damaged} -> {:ok, position, binaries}
      {:error, reason} -> {:error, reason}
      {position, binaries} -> {:ok, position, binaries}
      :eof -> :eof
    end
  end

  defp table_for(header, table) do
    cond do
      elem(version(header), 0) > elem(@version, 0) ->
        {:error, {:unsupported_file_version, version(header)}}

      table != nil ->
        {:ok, table}

      true ->
        create_table(header)
    end
  end

  defp create_table(header) do
    taken = for item <- [:write_concurrency, :read_concurrency, :keypos], do: {item, header[item]}
    flags = for item <- [:named_table, :compressed], header[item] == true, do: item
    given = for {_item, value} = option <- taken, value != nil, do: option
    options = [header.type, header.protection | flags ++ given]

    with true <- is_atom(header.name),
         true <- header.type in [:set, :ordered_set, :bag, :duplicate_bag],
         true <- header.protection in [:public, :protected, :private],
         {:ok, settings} <- Options.read(options) do
      {:ok, Native.new(Options.settings(header.name, settings))}
    else
      _ -> {:error, :cannot_create_table}
    end
  catch
    :error, :badarg -> {:error, :cannot_create_table}
  end

  defp fill(table, log, header, position, verify?) do
    promised = if verify?, do: header.extended_info, else: []
    md5 = if :md5sum in promised, do: :erlang.md5_update(:erlang.md5_init(), header.binary)

    with {:ok, md5, count, last} <- fill(table, log, position, verify?, md5, 0),
         :ok <- check_last(last, promised),
         :ok <- check_md5(md5, last[:md5], :md5sum in promised) do
      cond do
        not verify? -> :ok
        :object_count in promised -> check_count(count, last[:count])
        :md5sum in promised -> :ok
        true -> check_count(count, header.size)
      end
    end
  end

  defp fill(table, log, position, verify?, md5, count) do
    with {:ok, position, binaries} <- portion(log, position, @portion, verify?),
         {:ok, objects, binaries, last} <-
           decode_objects(binaries, [], [], verify? and md5 == nil),
         :ok <- insert(table, objects) do
      md5 = md5 && Enum.reduce(binaries, md5, &:erlang.md5_update(&2, &1))
      count = count + length(objects)

      if last,
        do: {:ok, md5, count, last},
        else: fill(table, log, position, verify?, md5, count)
    else
      :eof -> {:ok, md5, count, nil}
      {:error, reason} -> {:error, reason}
    end
  end

  # A checksum tells by itself that something was left out.
  defp decode_objects([binary | rest], objects, binaries, strict?) do
    case decode(binary) do
      {:ok, [:"$end_of_table", [{_, _} | _] = last]} when length(last) <= 2 ->
        decoded(objects, binaries, last)

      {:ok, object} ->
        decode_objects(rest, [object | objects], [binary | binaries], strict?)

      :error when strict? ->
        {:error, :badfile}

      :error ->
        decode_objects(rest, objects, binaries, strict?)
    end
  end

  defp decode_objects([], objects, binaries, _strict?), do: decoded(objects, binaries, nil)

  defp decoded(objects, binaries, last),
    do: {:ok, Enum.reverse(objects), Enum.reverse(binaries), last}

  defp decode(binary) do
    {:ok, :erlang.binary_to_term(binary)}
  catch
    :error, :badarg -> :error
  end

  defp insert(table, objects) do
    _ = Native.insert(table, objects)
    :ok
  catch
    :error, :badarg -> {:error, :badfile}
  end

  defp check_last(nil, [_ | _]), do: {:error, :badfile}
  defp check_last(_last, _promised), do: :ok

  defp check_md5(_md5, _expected, false), do: :ok

  defp check_md5(md5, expected, true),
    do: if(:erlang.md5_final(md5) == expected, do: :ok, else: {:error, :checksum_error})

  defp check_count(count, count), do: :ok
  defp check_count(_count, _expected), do: {:error, :invalid_object_count}

  # Files may be named as in Elixir too.
  defp charlist(path) when is_binary(path), do: String.to_charlist(path)
  defp charlist(path), do: path
end
