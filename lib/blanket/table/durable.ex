defmodule Blanket.Table.Durable do
  @moduledoc false

  # Tables with a file. The native library has a thread for each, which writes what changes; here are the
  # processes that open one, and that wait for what they have changed to be written.

  alias Blanket.{Native, Telemetry}
  alias Blanket.Table.Options

  @typedoc "What a call answers whose changes have to be on disk before its caller goes on."
  @type unsynced(answer) :: {:"$blanket_unsynced", answer}

  @doc """
  Creates a table from its file, or with a new one.
  """
  @spec new(atom, map) :: Blanket.Table.table() | {:error, {:durable, Path.t(), term}}
  def new(name, %{durable: {path, sync, progress}} = options) do
    started = System.monotonic_time()

    with {:ok, opening, keys} <-
           open({path, options.type, options.keypos, options.compressed, sync}),
         progress = progress(progress, path, keys),
         {:ok, loaded} <- load(opening, progress),
         table when not is_tuple(table) <-
           Native.new_durable(Options.settings(name, options), opening) do
      figures = %{keys: loaded, duration: System.monotonic_time() - started}
      Telemetry.execute([:blanket, :table, :loaded], figures, %{table: table, path: path})
      table
    else
      {:error, reason} -> {:error, {:durable, path, reason}}
    end
  end

  defp open(settings), do: when_closed(fn -> Native.durable_open(settings) end)

  @doc """
  Calls what answers `:closing` as long as the file has to be written to its end: that of a deleted table,
  or of one whose owner has died.
  """
  @spec when_closed((() -> :closing | answer)) :: answer when answer: term
  def when_closed(fun) do
    with :closing <- fun.(), do: when_closed(fun)
  end

  @doc """
  Deletes a table when what was changed in it is on disk. What others change while that is being written is
  written as the file is closed: to wait for that, too, might be to wait for ever.
  """
  @spec delete(Blanket.Table.table()) :: {:closing, Path.t(), term} | term
  def delete(table) do
    with :"$blanket_unsynced" <- Native.delete_table(table),
         do: settle(table, true) && Native.durable_delete(table)
  end

  @doc """
  Waits until the file of a table that was deleted is no longer open.
  """
  @spec await_close(Path.t()) :: :ok
  def await_close(path), do: when_closed(fn -> Native.durable_closing(path) end)

  defp load(opening, progress) do
    case Native.durable_load(opening) do
      {:more, keys} ->
        progress.(keys)
        load(opening, progress)

      {:done, keys} ->
        progress.(keys)
        {:ok, keys}

      error ->
        Native.durable_close(opening)
        error
    end
  catch
    kind, reason ->
      Native.durable_close(opening)
      :erlang.raise(kind, reason, __STACKTRACE__)
  end

  defp progress(fun, path, keys) do
    fn loaded ->
      figures = %{loaded: loaded, keys: keys}
      Telemetry.execute([:blanket, :table, :loading], figures, %{path: path})
      fun && fun.(loaded, keys)
    end
  end

  @doc """
  Waits until what was changed is on disk, where the table promises that.
  """
  defmacro settled(table, answer) do
    quote do
      case unquote(answer) do
        {:"$blanket_unsynced", answer} -> unquote(__MODULE__).settle(unquote(table), answer)
        answer -> answer
      end
    end
  end

  @doc false
  @spec settle(Blanket.Table.table(), answer) :: answer when answer: term
  def settle(table, answer) do
    case flush(table) do
      :ok -> answer
      {:error, _} -> :erlang.error(:badarg)
    end
  end

  @spec flush(Blanket.Table.table()) :: :ok | {:error, term}
  def flush(table) do
    # The compiler lets the VM note, with the reference, where in the mailbox the answer can come first.
    # An exception before the `receive` would leave that note behind, and a VM whose process has such
    # notes can crash (seen in OTP 25, 27 and 29): so nothing may raise in between.
    reference = make_ref()

    case Native.durable_ask(table, reference) do
      true ->
        receive do
          {^reference, written} -> written
        end

      false ->
        :ok

      nil ->
        :erlang.error(:badarg)
    end
  end
end
