defmodule Blanket.Mnesia.Dump do
  @moduledoc false

  # The files in which Mnesia leaves the objects of a table that is in memory: when it starts from a
  # fallback, it writes them there for the table to be loaded from. Both are logs of the module :disk_log, one
  # of objects and one of what was done with them afterwards.

  alias Blanket.Table

  @doc """
  Puts what the files hold into the table, if there are any.
  """
  @spec load(atom, Table.table()) :: :ok
  def load(name, table), do: each_file(name, &read(&1, table))

  @spec delete(atom) :: :ok
  def delete(name), do: each_file(name, &File.rm!/1)

  defp each_file(name, fun) do
    if :mnesia_monitor.use_dir() do
      for file <- [:mnesia_lib.tab2dcd(name), :mnesia_lib.tab2dcl(name)],
          File.exists?(file),
          do: fun.(file)
    end

    :ok
  end

  defp read(file, table) do
    log = make_ref()

    case :disk_log.open(name: log, file: to_charlist(file), mode: :read_only) do
      {:ok, ^log} -> read_chunks(:disk_log.chunk(log, :start), log, table)
      {:error, reason} -> raise File.Error, reason: reason, action: "open the dump", path: file
    end

    :disk_log.close(log)
  end

  defp read_chunks(:eof, _log, _table), do: :ok

  defp read_chunks({continuation, terms}, log, table) do
    Enum.each(terms, &apply_term(&1, table))
    read_chunks(:disk_log.chunk(log, continuation), log, table)
  end

  defp apply_term({{_name, _key}, object, :write}, table), do: Table.insert(table, object)
  defp apply_term({{_name, key}, _, :delete}, table), do: Table.delete(table, key)
  defp apply_term(header, _table) when elem(header, 0) == :log_header, do: :ok
  defp apply_term(object, table), do: Table.insert(table, object)
end
