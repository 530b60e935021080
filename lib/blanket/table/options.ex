defmodule Blanket.Table.Options do
  @moduledoc false

  # The options of Blanket.Table.new/2 and setopts/2, read as :ets reads them: from left to right,
  # and of several that say the same the last wins.

  @defaults %{
    type: :set,
    protection: :protected,
    named_table: false,
    keypos: 1,
    heir: :none,
    read_concurrency: false,
    write_concurrency: false,
    decentralized_counters: :default,
    compressed: false,
    durable: nil
  }

  # Milliseconds after which what was changed is written.
  @interval 100
  @longest_interval 86_400_000

  @unchanged %{heir: :unchanged, protection: :unchanged}

  # What :ets takes for a key position: a small integer.
  @max_keypos Bitwise.bsl(1, 59) - 1

  @doc """
  Reads the options of a new table.

  `{:error, option}` holds the first that is not valid, `:improper_list` that there is no list of them.
  """
  @spec read(term) :: {:ok, map} | {:error, {:option, term} | :improper_list}
  def read(options), do: read(options, @defaults, &put/2)

  @doc """
  Reads the options of setopts/2: one, or a list that sets each at most once.
  """
  @spec read_changes(term) :: {:ok, map} | {:error, {:option, term} | :improper_list}
  def read_changes(option) when is_tuple(option), do: read_changes([option])
  def read_changes(options), do: read(options, @unchanged, &put_change/2)

  @doc """
  The argument of Blanket.Native.new/1.
  """
  @spec settings(term, map) :: tuple
  def settings(name, options) do
    options = concurrency(options)

    {name, options.type, options.protection, options.named_table, options.keypos, options.heir,
     {options.read_concurrency, options.write_concurrency, options.decentralized_counters,
      options.compressed}}
  end

  @doc """
  Reads the name of a durable table's file, which stays the same file when the working directory changes.
  """
  @spec path(term) :: {:ok, Path.t()} | :error
  def path(path) when is_list(path) do
    case :unicode.characters_to_binary(path) do
      path when is_binary(path) -> path(path)
      _malformed -> :error
    end
  catch
    :error, :badarg -> :error
  end

  def path(path) when is_binary(path) and path != "" do
    if String.contains?(path, <<0>>), do: :error, else: {:ok, Path.expand(path)}
  end

  def path(_other), do: :error

  # What :ets makes of the options, and tells by info.
  defp concurrency(%{protection: :private} = options) do
    %{
      options
      | read_concurrency: false,
        write_concurrency: false,
        decentralized_counters: false
    }
  end

  defp concurrency(options) do
    decentralized =
      case options do
        %{write_concurrency: false} -> false
        %{decentralized_counters: chosen} when is_boolean(chosen) -> chosen
        %{write_concurrency: :auto} -> true
        %{type: type} -> type == :ordered_set
      end

    %{options | decentralized_counters: decentralized}
  end

  defp read([option | options], settings, put) do
    case put.(option, settings) do
      :error -> {:error, {:option, option}}
      settings -> read(options, settings, put)
    end
  end

  defp read([], settings, _put), do: {:ok, settings}
  defp read(_tail, _settings, _put), do: {:error, :improper_list}

  # The defaults take nothing back that was said before them.
  defp put(default, settings) when default in [:set, :protected], do: settings

  defp put(type, settings) when type in [:ordered_set, :bag, :duplicate_bag],
    do: %{settings | type: type}

  defp put(protection, settings) when protection in [:public, :private],
    do: %{settings | protection: protection}

  defp put(:named_table, settings), do: %{settings | named_table: true}
  defp put(:compressed, settings), do: %{settings | compressed: true}

  defp put({:keypos, position}, settings)
       when is_integer(position) and position in 1..@max_keypos,
       do: %{settings | keypos: position}

  defp put({:durable, path}, settings), do: put({:durable, path, []}, settings)

  defp put({:durable, path, options}, settings) do
    with {:ok, path} <- path(path),
         {:ok, sync, progress} <- durable(options, {:interval, @interval}, nil) do
      %{settings | durable: {path, sync, progress}}
    end
  end

  defp put({:read_concurrency, value}, settings) when is_boolean(value),
    do: %{settings | read_concurrency: value}

  defp put({:write_concurrency, value}, settings) when is_boolean(value) or value == :auto,
    do: %{settings | write_concurrency: value}

  defp put({:decentralized_counters, value}, settings) when is_boolean(value),
    do: %{settings | decentralized_counters: value}

  defp put(option, settings) do
    case heir(option) do
      {:ok, heir} -> %{settings | heir: heir}
      :error -> :error
    end
  end

  defp durable([{:sync, sync} | options], _sync, progress) do
    case sync do
      {:interval, time} when is_integer(time) and time in 1..@longest_interval ->
        durable(options, sync, progress)

      sync when sync in [:always, :manual] ->
        durable(options, sync, progress)

      _other ->
        :error
    end
  end

  defp durable([{:progress, progress} | options], sync, _progress) when is_function(progress, 2),
    do: durable(options, sync, progress)

  defp durable([], {:interval, time}, progress), do: {:ok, time, progress}
  defp durable([], sync, progress), do: {:ok, sync, progress}
  defp durable(_other, _sync, _progress), do: :error

  defp put_change({:protection, protection}, %{protection: :unchanged} = changes)
       when protection in [:public, :protected, :private],
       do: %{changes | protection: protection}

  defp put_change(option, %{heir: :unchanged} = changes) do
    case heir(option) do
      {:ok, heir} -> %{changes | heir: heir}
      :error -> :error
    end
  end

  defp put_change(_option, _changes), do: :error

  defp heir({:heir, heir}) when heir in [:none, :immortal], do: {:ok, heir}
  defp heir({:heir, pid}) when is_pid(pid) and node(pid) == node(), do: {:ok, {pid}}
  defp heir({:heir, pid, data}) when is_pid(pid) and node(pid) == node(), do: {:ok, {pid, data}}
  defp heir(_option), do: :error
end
